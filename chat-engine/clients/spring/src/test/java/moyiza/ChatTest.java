package moyiza;

import static moyiza.Frames.await;
import static moyiza.Frames.subscribe;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.UUID;
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
    void messagesAreChangedAndTheRoomIsResumed() throws Exception {
        try (var broker = new Broker()) {
            var session = session(broker);
            var inbox = subscribe(session, "/chat/" + person.room(), byte[].class);
            // Sent again under its own name it is there once.
            send(session, "chat", "하나", Map.of("client-id", mark));
            send(session, "chat", "하나", Map.of("client-id", mark));
            var first = next(inbox, "하나 " + mark).headers().getFirst("seq");
            send(session, "chat", "둘", Map.of("reply-to", first));
            Frames.Message second;
            do {
                second = inbox.take();
                assertFalse(text(second).contains("하나 " + mark), "twice");
            } while (!text(second).contains("둘 " + mark));
            assertTrue(text(second).contains("\"reply-to\":" + first));
            var deleted = second.headers().getFirst("seq");
            send(session, "edit", "셋", Map.of("seq", first));
            send(session, "delete", null, Map.of("seq", deleted));

            var headers = new StompHeaders();
            headers.setDestination("/chat/" + person.room());
            headers.add("after", first);
            var missed = subscribe(session(broker), headers, byte[].class);
            assertTrue(text(next(missed, "\"edited\"")).contains("셋 " + mark));
            next(missed, "\"target\":" + deleted);
            assertTrue(text(next(missed, "\"recovered\"")).contains("\"recovered\":true"));
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

    private void send(StompSession session, String verb, String content, Map<String, String> more) throws Exception {
        var headers = new StompHeaders();
        headers.setDestination("/app/" + verb + "/" + person.room());
        more.forEach(headers::add);
        var body = content == null ? "" : "{\"content\":\"" + content + " " + mark + "\"}";
        await(session.send(headers, body.getBytes(StandardCharsets.UTF_8)));
    }

    /** The next message that has this in it; others use the room too. */
    private static Frames.Message next(Frames.Inbox inbox, String part) throws Exception {
        for (;;) {
            var message = inbox.take();
            if (text(message).contains(part)) {
                return message;
            }
        }
    }

    private static String text(Frames.Message message) {
        return new String(message.bytes(), StandardCharsets.UTF_8);
    }
}
