package moyiza;

import static moyiza.Frames.subscribe;
import static moyiza.Frames.take;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.ExecutionException;
import org.junit.jupiter.api.Test;
import org.springframework.messaging.MessageDeliveryException;
import org.springframework.messaging.converter.MessageConversionException;
import org.springframework.messaging.simp.stomp.ConnectionLostException;
import org.springframework.messaging.simp.stomp.StompHeaders;
import org.springframework.messaging.simp.stomp.StompSession;
import org.springframework.web.socket.WebSocketHttpHeaders;

/** Errors, heart-beats, and lines that break. */
class TroubleTest {
    private static final int FRAME = 65_536;

    @Test
    void anErrorFrameNamesTheFrameThatCausedIt() throws Exception {
        try (var broker = new Broker()) {
            var frames = new Frames();
            var session = broker.connect(frames);
            var headers = new StompHeaders();
            headers.setDestination("/nowhere");
            headers.setReceipt("r-1");
            session.send(headers, "x");
            var error = take(frames.errors);
            assertNotNull(error.headers().getFirst("message"));
            assertEquals("r-1", error.headers().getReceiptId());
            assertEquals("text", error.headers().getContentType().getType());
            assertFalse(String.valueOf(error.payload()).isBlank());
            assertInstanceOf(ConnectionLostException.class, take(frames.transportErrors));
            assertFalse(session.isConnected());
        }
    }

    @Test
    void whatNoConverterReadsGoesToHandleException() throws Exception {
        try (var broker = new Broker()) {
            var frames = new Frames();
            var session = broker.connect(frames);
            var destination = Broker.topic();
            subscribe(session, destination, Integer.class);
            session.send(destination, "not a number");
            assertInstanceOf(MessageConversionException.class, take(frames.exceptions));
            assertTrue(session.isConnected());
        }
    }

    @Test
    void tooLargeAFrameIsRefusedWithTheLimit() throws Exception {
        try (var broker = new Broker()) {
            var frames = new Frames();
            var session = broker.connect(frames);
            try {
                session.send(Broker.topic(), "x".repeat(2 * FRAME));
            } catch (MessageDeliveryException refused) {
                // It may be refused before its last byte is on its way.
            }
            var error = take(frames.errors);
            var said = error.headers().getFirst("message") + " " + error.payload();
            assertTrue(said.matches("(?s).*(65,?536|64 ?KiB).*"), said);
            // What Tomcat was still writing may fail first.
            while (!(take(frames.transportErrors) instanceof ConnectionLostException)) {}
        }
    }

    @Test
    void moreThanTheClientTakesEndsItsSessionOnly() throws Exception {
        try (var broker = new Broker()) {
            var small = broker.client();
            small.setInboundMessageSizeLimit(8 * 1024);
            var frames = new Frames();
            var destination = Broker.topic();
            subscribe(broker.connect(small, frames), destination, String.class);
            var other = broker.connect(new Frames());
            var inbox = subscribe(other, destination, String.class);
            other.send(destination, "x".repeat(20_000));
            assertEquals(20_000, String.valueOf(inbox.take().payload()).length());
            take(frames.transportErrors);
        }
    }

    @Test
    void heartBeatsInBothDirections() throws Exception {
        try (var broker = new Broker(); var line = new Line()) {
            var frames = new Frames();
            var session = beating(broker, line, frames);
            var beat = Broker.HEART_BEAT + "," + Broker.HEART_BEAT;
            assertEquals(beat, take(frames.connected).getFirst("heart-beat"));
            long up = line.passed("upPieces");
            // Beats are all that passes here: they tell the time.
            // Spring beats after one to one and a half intervals.
            assertTrue(line.passedAfter(4, "upPieces") - up >= 2);
            assertTrue(session.isConnected());
            assertTrue(frames.transportErrors.isEmpty());
        }
    }

    @Test
    void aSilentBrokerIsNoticed() throws Exception {
        try (var broker = new Broker(); var line = new Line()) {
            var frames = new Frames();
            beating(broker, line, frames);
            line.does("hold-down");
            take(frames.transportErrors);
        }
    }

    @Test
    void aSilentClientIsClosed() throws Exception {
        try (var broker = new Broker(); var line = new Line()) {
            var frames = new Frames();
            beating(broker, line, frames);
            line.does("hold-up");
            assertTrue(String.valueOf(take(frames.errors).payload()).contains("heart-beat"));
        }
    }

    @Test
    void aCutLineIsToldAndANewSessionIsGood() throws Exception {
        try (var broker = new Broker(); var line = new Line()) {
            var frames = new Frames();
            var client = broker.client();
            var person = Broker.person();
            var handshake = new WebSocketHttpHeaders();
            broker.connect(client, line.url(), handshake, person.connectHeaders(), frames);
            line.does("cut");
            assertInstanceOf(ConnectionLostException.class, take(frames.transportErrors));
            assertThrows(
                    ExecutionException.class,
                    () -> broker.connect(client, line.url(), handshake, person.connectHeaders(), new Frames()));
            line.does("restore");
            var session = broker.connect(client, line.url(), handshake, person.connectHeaders(), new Frames());
            var destination = Broker.topic();
            var inbox = subscribe(session, destination, String.class);
            session.send(destination, "back");
            assertEquals("back", inbox.take().payload());
        }
    }

    private static StompSession beating(Broker broker, Line line, Frames frames) throws Exception {
        var client = broker.client();
        client.setDefaultHeartbeat(new long[] {Broker.HEART_BEAT, Broker.HEART_BEAT});
        return broker.connect(
                client, line.url(), new WebSocketHttpHeaders(), Broker.person().connectHeaders(), frames);
    }
}
