package moyiza;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import java.lang.reflect.Type;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.springframework.messaging.simp.stomp.StompCommand;
import org.springframework.messaging.simp.stomp.StompFrameHandler;
import org.springframework.messaging.simp.stomp.StompHeaders;
import org.springframework.messaging.simp.stomp.StompSession;
import org.springframework.messaging.simp.stomp.StompSessionHandlerAdapter;

/** What comes to a session, as things to wait for. */
final class Frames extends StompSessionHandlerAdapter {
    record Message(StompHeaders headers, Object payload) {
        byte[] bytes() {
            return (byte[]) payload;
        }
    }

    final BlockingQueue<StompHeaders> connected = new LinkedBlockingQueue<>();
    final BlockingQueue<Message> errors = new LinkedBlockingQueue<>();
    final BlockingQueue<Throwable> exceptions = new LinkedBlockingQueue<>();
    final BlockingQueue<Throwable> transportErrors = new LinkedBlockingQueue<>();

    @Override
    public void afterConnected(StompSession session, StompHeaders headers) {
        connected.add(headers);
    }

    @Override
    public Type getPayloadType(StompHeaders headers) {
        return String.class;
    }

    /** The session's own frames: ERROR. */
    @Override
    public void handleFrame(StompHeaders headers, Object payload) {
        errors.add(new Message(headers, payload));
    }

    @Override
    public void handleException(
            StompSession session, StompCommand command, StompHeaders headers, byte[] payload, Throwable error) {
        exceptions.add(error);
    }

    @Override
    public void handleTransportError(StompSession session, Throwable error) {
        transportErrors.add(error);
    }

    /** The next one of a queue, as soon as it is there. */
    static <T> T take(BlockingQueue<T> queue) throws InterruptedException {
        T next = queue.poll(Broker.PATIENCE_S, TimeUnit.SECONDS);
        assertNotNull(next, "nothing came");
        return next;
    }

    /** A subscription's messages. */
    static final class Inbox implements StompFrameHandler {
        final BlockingQueue<Message> messages = new LinkedBlockingQueue<>();
        StompSession.Subscription subscription;
        private final Class<?> payloads;

        private Inbox(Class<?> payloads) {
            this.payloads = payloads;
        }

        @Override
        public Type getPayloadType(StompHeaders headers) {
            return payloads;
        }

        @Override
        public void handleFrame(StompHeaders headers, Object payload) {
            messages.add(new Message(headers, payload));
        }

        Message take() throws InterruptedException {
            return Frames.take(messages);
        }
    }

    /** Subscribes; returns when the broker has it. */
    static Inbox subscribe(StompSession session, String destination, Class<?> payloads) throws Exception {
        var headers = new StompHeaders();
        headers.setDestination(destination);
        return subscribe(session, headers, payloads);
    }

    static Inbox subscribe(StompSession session, StompHeaders headers, Class<?> payloads) throws Exception {
        var inbox = new Inbox(payloads);
        headers.setReceipt(UUID.randomUUID().toString());
        inbox.subscription = session.subscribe(headers, inbox);
        await(inbox.subscription);
        return inbox;
    }

    /** Waits for a RECEIPT. */
    static void await(StompSession.Receiptable receiptable) throws InterruptedException {
        var outcome = new LinkedBlockingQueue<String>();
        receiptable.addReceiptTask(() -> outcome.add("receipt"));
        receiptable.addReceiptLostTask(() -> outcome.add("lost"));
        assertEquals("receipt", take(outcome));
    }
}
