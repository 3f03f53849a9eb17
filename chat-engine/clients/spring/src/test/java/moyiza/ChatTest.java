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
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
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

    @ParameterizedTest
    @CsvSource({"1.1, client", "1.2, client", "1.2, client-individual"})
    void readByWhoAcknowledgesWhateverComes(String version, String ack) throws Exception {
        try (var broker = new Broker()) {
            var session = session(broker);
            var shown = subscribe(session, "/chat/" + person.room(), byte[].class);
            var connect = Broker.roommate(person).connectHeaders();
            connect.setAcceptVersion(version);
            var reader = session(broker, connect);
            var headers = new StompHeaders();
            headers.setDestination("/chat/" + person.room());
            headers.setAck(ack);
            var inbox = subscribe(reader, headers, byte[].class);
            var seq = send(session, "chat", "읽었니", Map.of());
            // Others use the room too, and who opens it has read it.
            var first = Integer.parseInt(at(upTo(shown, seq), seq).headers().getFirst("unread"));
            assertTrue(first > 0);
            for (String answered = null; !seq.equals(answered); ) {
                var message = inbox.take();
                Frames.await(reader.acknowledge(answer(version, message), true));
                answered = seq(message);
            }
            for (var unread = first; unread >= first; ) {
                unread += changeOf(seq, text(next(shown, "\"read\"")));
            }
            // What comes of that can be acknowledged as well.
            Frames.await(reader.acknowledge(answer(version, next(inbox, "\"read\"")), true));
            assertTrue(reader.isConnected());
        }
    }

    /** The headers of an ACK. */
    private static StompHeaders answer(String version, Frames.Message message) {
        var headers = new StompHeaders();
        if (version.equals("1.2")) {
            headers.setId(message.headers().getAck());
        } else {
            headers.setMessageId(message.headers().getMessageId());
            headers.setSubscription(message.headers().getSubscription());
        }
        return headers;
    }

    /** What a `read` event adds to the count of the message at a seq. */
    private static int changeOf(String seq, String event) {
        var changes = Pattern.compile("\"from\":(\\d+),\"to\":(\\d+),\"by\":(-?\\d+)").matcher(event);
        var at = Long.parseLong(seq);
        return changes.results()
                .filter(change -> Long.parseLong(change.group(1)) < at && at <= Long.parseLong(change.group(2)))
                .mapToInt(change -> Integer.parseInt(change.group(3)))
                .sum();
    }

    private StompSession session(Broker broker) throws Exception {
        return session(broker, person.connectHeaders());
    }

    private StompSession session(Broker broker, StompHeaders connect) throws Exception {
        var client = broker.client();
        // Records are JSON; who has no converter for it takes the bytes as they are.
        client.setMessageConverter(new SimpleMessageConverter());
        var session = broker.connect(client, Broker.URL, new WebSocketHttpHeaders(), connect, new Frames());
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
