package moyiza;

import static moyiza.Frames.subscribe;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.LinkedBlockingQueue;
import org.junit.jupiter.api.Test;
import org.springframework.messaging.converter.SimpleMessageConverter;
import org.springframework.messaging.simp.stomp.StompHeaders;
import org.springframework.messaging.simp.stomp.StompSession;
import org.springframework.web.socket.WebSocketHttpHeaders;

/** The chat itself, by a client that is not the web page. */
class ChatTest {
    private final Broker.Person person = Broker.person();
    private final String mark = UUID.randomUUID().toString();

    @Test
    void sentAgainUnderItsNameAMessageIsThereOnce() throws Exception {
        try (var broker = new Broker()) {
            var session = session(broker);
            var inbox = subscribe(session, "/chat/" + person.room(), byte[].class);
            var first = send(session, "chat", "하나", Map.of("client-id", mark));
            // On another connection, as after one that was lost before its RECEIPT.
            assertEquals(first, send(session(broker), "chat", "하나", Map.of("client-id", mark)));
            var end = send(session, "chat", "끝", Map.of());
            var seen = upTo(inbox, end).stream().filter(message -> text(message).contains("하나 " + mark));
            assertEquals(List.of(first), seen.map(ChatTest::seq).toList());
        }
    }

    @Test
    void messagesAreChangedAndTheRoomIsResumed() throws Exception {
        try (var broker = new Broker()) {
            var session = session(broker);
            var inbox = subscribe(session, "/chat/" + person.room(), byte[].class);
            var first = send(session, "chat", "하나", Map.of());
            var second = send(session, "chat", "둘", Map.of("reply-to", first));
            var edited = send(session, "edit", "셋", Map.of("seq", first));
            var deleted = send(session, "delete", null, Map.of("seq", second));
            var live = upTo(inbox, deleted);
            assertTrue(text(at(live, second)).contains("\"reply-to\":" + first));
            assertTrue(live.stream().noneMatch(ChatTest::isHistory));

            var headers = new StompHeaders();
            headers.setDestination("/chat/" + person.room());
            headers.add("after", first);
            var missed = subscribe(session(broker), headers, byte[].class);
            var replay = upTo(missed, deleted);
            assertTrue(replay.stream().allMatch(ChatTest::isHistory));
            assertTrue(text(at(replay, second)).contains("\"deleted\":"));
            assertFalse(text(at(replay, second)).contains("\"content\":"));
            assertTrue(text(at(replay, edited)).contains("셋 " + mark));
            assertTrue(text(at(replay, deleted)).contains("\"target\":" + second));
            assertTrue(text(next(missed, "\"recovered\"")).contains("\"recovered\":true"));

            // And then live.
            var last = send(session, "chat", "넷", Map.of());
            var message = at(upTo(missed, last), last);
            assertTrue(text(message).contains("넷 " + mark));
            assertFalse(isHistory(message));
        }
    }

    private StompSession session(Broker broker) throws Exception {
        var client = broker.client();
        // Records are JSON; who has no converter for it takes the bytes as they are.
        client.setMessageConverter(new SimpleMessageConverter());
        var session = broker.connect(
                client, Broker.URL, new WebSocketHttpHeaders(), person.connectHeaders(), new Frames());
        session.setAutoReceipt(true);
        return session;
    }

    /** Says or changes something; the seq that the RECEIPT has. */
    private String send(StompSession session, String verb, String content, Map<String, String> more) throws Exception {
        var headers = new StompHeaders();
        headers.setDestination("/app/" + verb + "/" + person.room());
        more.forEach(headers::add);
        var body = content == null ? "" : "{\"content\":\"" + content + " " + mark + "\"}";
        var receipts = new LinkedBlockingQueue<StompHeaders>();
        session.send(headers, body.getBytes(StandardCharsets.UTF_8)).addReceiptTask(receipts::add);
        return Frames.take(receipts).getFirst("seq");
    }

    /** Messages up to the one at a seq, with it; others use the room too. */
    private static List<Frames.Message> upTo(Frames.Inbox inbox, String seq) throws Exception {
        var messages = new ArrayList<Frames.Message>();
        for (;;) {
            var message = inbox.take();
            messages.add(message);
            if (seq.equals(seq(message))) {
                return messages;
            }
        }
    }

    /** The next message that has this in it. */
    private static Frames.Message next(Frames.Inbox inbox, String part) throws Exception {
        for (;;) {
            var message = inbox.take();
            if (text(message).contains(part)) {
                return message;
            }
        }
    }

    private static Frames.Message at(List<Frames.Message> messages, String seq) {
        return messages.stream().filter(message -> seq.equals(seq(message))).findFirst().orElseThrow();
    }

    private static String seq(Frames.Message message) {
        return message.headers().getFirst("seq");
    }

    private static boolean isHistory(Frames.Message message) {
        return "true".equals(message.headers().getFirst("history"));
    }

    private static String text(Frames.Message message) {
        return new String(message.bytes(), StandardCharsets.UTF_8);
    }
}
