package moyiza;

import static moyiza.Frames.take;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.springframework.messaging.simp.stomp.ConnectionLostException;
import org.springframework.messaging.simp.stomp.StompHeaders;
import org.springframework.web.socket.WebSocketHttpHeaders;

class ConnectingTest {
    @Test
    void connectsAndHearsWhatConnectedSays() throws Exception {
        try (var broker = new Broker()) {
            var frames = new Frames();
            var session = broker.connect(frames);
            assertTrue(session.isConnected());
            var connected = take(frames.connected);
            assertEquals("1.2", connected.getFirst("version"));
            assertTrue(connected.getFirst("user-name").matches("\\d+"));
            assertNotNull(connected.getSession());
            assertNotNull(connected.getServer());
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"1.1", "1.2"})
    void speaksTheVersionThatIsAskedFor(String version) throws Exception {
        try (var broker = new Broker()) {
            var frames = new Frames();
            var headers = Broker.person().connectHeaders();
            headers.setAcceptVersion(version);
            broker.connect(broker.client(), Broker.URL, new WebSocketHttpHeaders(), headers, frames);
            assertEquals(version, take(frames.connected).getFirst("version"));
        }
    }

    @Test
    void offersSubProtocols() throws Exception {
        try (var broker = new Broker()) {
            var frames = new Frames();
            var handshake = new WebSocketHttpHeaders();
            handshake.setSecWebSocketProtocol(List.of("v12.stomp", "v11.stomp"));
            broker.connect(broker.client(), Broker.URL, handshake, Broker.person().connectHeaders(), frames);
            assertEquals("1.2", take(frames.connected).getFirst("version"));
        }
    }

    @Test
    void loginAndPasscode() throws Exception {
        try (var broker = new Broker()) {
            var headers = new StompHeaders();
            headers.setLogin("anybody");
            headers.setPasscode(Broker.person().token());
            var session = broker.connect(
                    broker.client(), Broker.URL, new WebSocketHttpHeaders(), headers, new Frames());
            assertTrue(session.isConnected());
        }
    }

    @Test
    void aWrongTokenIsAnErrorFrameAndTheConnectionEnds() throws Exception {
        try (var broker = new Broker()) {
            var frames = new Frames();
            var headers = new StompHeaders();
            headers.add("Authorization", "Bearer nothing");
            broker.client().connectAsync(Broker.URL, new WebSocketHttpHeaders(), headers, frames);
            var error = take(frames.errors);
            assertNotNull(error.headers().getFirst("message"));
            assertFalse(String.valueOf(error.payload()).isBlank());
            assertInstanceOf(ConnectionLostException.class, take(frames.transportErrors));
        }
    }

    @Test
    void disconnects() throws Exception {
        try (var broker = new Broker()) {
            var frames = new Frames();
            var session = broker.connect(frames);
            var goodbye = new StompHeaders();
            goodbye.setReceipt("bye");
            session.disconnect(goodbye);
            assertFalse(session.isConnected());
            assertTrue(frames.transportErrors.isEmpty());
        }
    }

    @Test
    void severalSessionsOfOneClient() throws Exception {
        try (var broker = new Broker()) {
            var client = broker.client();
            var destination = Broker.topic();
            var first = broker.connect(client, new Frames());
            var second = broker.connect(client, new Frames());
            var third = broker.connect(client, new Frames());
            var inboxes = List.of(
                    Frames.subscribe(first, destination, String.class),
                    Frames.subscribe(second, destination, String.class),
                    Frames.subscribe(third, destination, String.class));
            second.disconnect();
            assertFalse(second.isConnected());
            third.send(destination, "who is left?");
            assertEquals("who is left?", inboxes.get(0).take().payload());
            assertEquals("who is left?", inboxes.get(2).take().payload());
        }
    }
}
