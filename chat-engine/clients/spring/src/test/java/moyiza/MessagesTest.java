package moyiza;

import static moyiza.Frames.await;
import static moyiza.Frames.subscribe;
import static moyiza.Frames.take;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.UUID;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.springframework.messaging.converter.SimpleMessageConverter;
import org.springframework.messaging.simp.stomp.StompHeaders;
import org.springframework.util.MimeType;
import org.springframework.web.socket.WebSocketHttpHeaders;

class MessagesTest {
    /** The longest frame that the broker takes by default, and more than command and headers need, in bytes. */
    private static final int FRAME = 65_536;
    private static final int HEAD = 512;

    @Test
    void textsByTheStringConverter() throws Exception {
        try (var broker = new Broker()) {
            var session = broker.connect(new Frames());
            var destination = Broker.topic();
            var inbox = subscribe(session, destination, String.class);
            for (var text : List.of("안녕하세요 👋🏽", "a\0b", "\n\r\n:\\", "x".repeat(1000))) {
                session.send(destination, text);
                var message = inbox.take();
                assertEquals(text, message.payload());
                assertEquals(destination, message.headers().getDestination());
                assertEquals(inbox.subscription.getSubscriptionId(), message.headers().getSubscription());
                assertNotNull(message.headers().getMessageId());
                assertTrue(message.headers().getContentType().isCompatibleWith(new MimeType("text", "plain")));
            }
        }
    }

    @Test
    void bytesByTheByteArrayConverter() throws Exception {
        try (var broker = new Broker()) {
            var session = broker.connect(new Frames());
            var destination = Broker.topic();
            var inbox = subscribe(session, destination, byte[].class);
            var everyByte = new byte[256];
            for (int value = 0; value < 256; value++) everyByte[value] = (byte) value;
            for (var bytes : List.of(everyByte, new byte[1000], new byte[] {0}, new byte[] {(byte) 0xff})) {
                session.send(destination, bytes);
                var message = inbox.take();
                assertArrayEquals(bytes, message.bytes());
                assertEquals(bytes.length, message.headers().getContentLength());
            }
        }
    }

    @Test
    void headersOfOnesOwn() throws Exception {
        try (var broker = new Broker()) {
            var session = broker.connect(new Frames());
            var destination = Broker.topic();
            var inbox = subscribe(session, destination, String.class);
            var own = Map.of(
                    "colon:in:name", "a:b::c",
                    "newline", "two\nlines",
                    "return", "a\r\nb",
                    "backslash", "D:\\new\\\\case\\",
                    "모임", "일상속 🎲");
            var headers = new StompHeaders();
            headers.setDestination(destination);
            own.forEach(headers::set);
            session.send(headers, "x");
            var got = inbox.take().headers();
            own.forEach((name, value) -> assertEquals(value, got.getFirst(name), name));
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 8 * 1024})
    void largeMessages(int piece) throws Exception {
        try (var broker = new Broker()) {
            var client = broker.client();
            // MESSAGE has headers that SEND had not.
            client.setInboundMessageSizeLimit(2 * FRAME);
            if (piece > 0) client.setOutboundMessageSizeLimit(piece);
            var session = broker.connect(client, new Frames());
            var destination = Broker.topic();
            var inbox = subscribe(session, destination, byte[].class);
            var bytes = new byte[FRAME - HEAD];
            new Random(1).nextBytes(bytes);
            session.send(destination, bytes);
            assertArrayEquals(bytes, inbox.take().bytes());
        }
    }

    @Test
    void manyInOrder() throws Exception {
        try (var broker = new Broker()) {
            var sender = broker.connect(new Frames());
            var listener = broker.connect(new Frames());
            var destination = Broker.topic();
            var inbox = subscribe(listener, destination, String.class);
            var numbers = IntStream.range(0, 100).mapToObj(String::valueOf).toList();
            for (var number : numbers) sender.send(destination, number);
            var got = new ArrayList<>();
            for (int taken = 0; taken < numbers.size(); taken++) got.add(inbox.take().payload());
            assertEquals(numbers, got);
        }
    }

    @Test
    void receipts() throws Exception {
        try (var broker = new Broker()) {
            var session = broker.connect(new Frames());
            session.setAutoReceipt(true);
            var destination = Broker.topic();
            var headers = new StompHeaders();
            headers.setDestination(destination);
            var inbox = subscribe(session, headers, String.class);
            await(session.send(destination, "with a receipt"));
            var message = inbox.take();
            assertEquals("with a receipt", message.payload());
            assertNull(message.headers().getReceipt());
        }
    }

    @Test
    void unsubscribing() throws Exception {
        try (var broker = new Broker()) {
            var session = broker.connect(new Frames());
            session.setAutoReceipt(true);
            var destination = Broker.topic();
            var first = subscribe(session, destination, String.class);
            var second = subscribe(session, destination, String.class);
            first.subscription.unsubscribe();
            await(session.send(destination, "for one"));
            assertEquals("for one", second.take().payload());
            assertTrue(first.messages.isEmpty());
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"1.1", "1.2"})
    void acknowledging(String version) throws Exception {
        try (var broker = new Broker()) {
            var connect = Broker.person().connectHeaders();
            connect.setAcceptVersion(version);
            var frames = new Frames();
            var session = broker.connect(broker.client(), Broker.URL, new WebSocketHttpHeaders(), connect, frames);
            session.setAutoReceipt(true);
            var destination = Broker.topic();
            var headers = new StompHeaders();
            headers.setDestination(destination);
            headers.setAck("client-individual");
            var inbox = subscribe(session, headers, String.class);
            for (var consumed : List.of(true, false)) {
                session.send(destination, "x");
                var id = new StompHeaders();
                var message = inbox.take().headers();
                if (version.equals("1.2")) {
                    id.setId(message.getAck());
                } else {
                    id.setMessageId(message.getMessageId());
                    id.setSubscription(message.getSubscription());
                }
                await(session.acknowledge(id, consumed));
            }
            assertTrue(frames.errors.isEmpty());
        }
    }

    @Test
    void aChatRoom() throws Exception {
        try (var broker = new Broker()) {
            var person = Broker.person();
            var client = broker.client();
            // Records are JSON; who has no converter for it takes the bytes as they are.
            client.setMessageConverter(new SimpleMessageConverter());
            var session = broker.connect(
                    client, Broker.URL, new WebSocketHttpHeaders(), person.connectHeaders(), new Frames());
            session.setAutoReceipt(true);
            var inbox = subscribe(session, "/chat/" + person.room(), byte[].class);
            var content = "토요일에 봐요 " + UUID.randomUUID();
            var body = "{\"content\":\"" + content + "\"}";
            await(session.send("/app/chat/" + person.room(), body.getBytes(StandardCharsets.UTF_8)));
            while (!new String(take(inbox.messages).bytes(), StandardCharsets.UTF_8).contains(content)) {
                // Others use the room too.
            }
        }
    }
}
