package moyiza;

import jakarta.websocket.ContainerProvider;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.UUID;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.springframework.messaging.converter.ByteArrayMessageConverter;
import org.springframework.messaging.converter.CompositeMessageConverter;
import org.springframework.messaging.converter.StringMessageConverter;
import org.springframework.messaging.simp.stomp.StompHeaders;
import org.springframework.messaging.simp.stomp.StompSession;
import org.springframework.scheduling.concurrent.ThreadPoolTaskScheduler;
import org.springframework.web.socket.WebSocketHttpHeaders;
import org.springframework.web.socket.client.standard.StandardWebSocketClient;
import org.springframework.web.socket.messaging.WebSocketStompClient;

/** The broker under test, and clients of it that end with a test. */
final class Broker implements AutoCloseable {
    static final String URL = setting("BROKER_URL");
    static final long HEART_BEAT = Long.parseLong(setting("BROKER_HEART_BEAT"));
    /** How long anything may take; a promise that is kept takes a fraction of a second. */
    static final long PATIENCE_S = 30;

    /** A MESSAGE with all its headers; Tomcat's own default is 8 KiB. */
    private static final int WHOLE_MESSAGE = 128 * 1024;

    private static final List<String> TOKENS = lines("BROKER_TOKENS");
    private static final List<String> ROOMS = lines("BROKER_ROOMS");
    /** Suites run side by side: each begins with somebody else. */
    private static final AtomicInteger NEXT =
            new AtomicInteger(ThreadLocalRandom.current().nextInt(TOKENS.size()));

    /** Somebody's access token, and the room whose member they are. */
    record Person(String token, String room) {
        StompHeaders connectHeaders() {
            var headers = new StompHeaders();
            headers.add("Authorization", "Bearer " + token);
            return headers;
        }
    }

    static Person person() {
        int index = NEXT.getAndIncrement() % TOKENS.size();
        return new Person(TOKENS.get(index), ROOMS.get(index % ROOMS.size()));
    }

    /** Another member of somebody's room. */
    static Person roommate(Person person) {
        int index = (TOKENS.indexOf(person.token()) + ROOMS.size()) % TOKENS.size();
        return new Person(TOKENS.get(index), ROOMS.get(index % ROOMS.size()));
    }

    /** A destination that no other test knows. */
    static String topic() {
        return "/topic/spring-" + UUID.randomUUID();
    }

    private final List<WebSocketStompClient> clients = new ArrayList<>();
    private final ThreadPoolTaskScheduler scheduler = new ThreadPoolTaskScheduler();

    Broker() {
        scheduler.setPoolSize(1);
        scheduler.initialize();
    }

    /** A client as Spring's documentation sets it up. */
    WebSocketStompClient client() {
        var container = ContainerProvider.getWebSocketContainer();
        container.setDefaultMaxTextMessageBufferSize(WHOLE_MESSAGE);
        container.setDefaultMaxBinaryMessageBufferSize(WHOLE_MESSAGE);
        var client = new WebSocketStompClient(new StandardWebSocketClient(container));
        client.setMessageConverter(new CompositeMessageConverter(
                List.of(new StringMessageConverter(), new ByteArrayMessageConverter())));
        client.setTaskScheduler(scheduler);
        client.start();
        clients.add(client);
        return client;
    }

    /** A connected session; what comes to it is in `frames`. */
    StompSession connect(Frames frames) throws Exception {
        return connect(client(), frames);
    }

    StompSession connect(WebSocketStompClient client, Frames frames) throws Exception {
        return connect(client, URL, new WebSocketHttpHeaders(), person().connectHeaders(), frames);
    }

    StompSession connect(
            WebSocketStompClient client,
            String url,
            WebSocketHttpHeaders handshake,
            StompHeaders connect,
            Frames frames) throws Exception {
        return client.connectAsync(url, handshake, connect, frames).get(PATIENCE_S, TimeUnit.SECONDS);
    }

    @Override
    public void close() {
        clients.forEach(WebSocketStompClient::stop);
        scheduler.shutdown();
    }

    static String setting(String name) {
        return Objects.requireNonNull(System.getenv(name), name + " is not set: run chat-engine/clients/run.mjs");
    }

    private static List<String> lines(String setting) {
        try {
            return Files.readAllLines(Path.of(setting(setting)));
        } catch (IOException error) {
            throw new IllegalStateException(error);
        }
    }
}
