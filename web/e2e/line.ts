import type { BrowserContext } from '@playwright/test';

/** The line between a context's pages and the engine; the test stands in it. */
export interface Line {
  cut(): void;
  restore(): void;
  /** STOMP frames of the connection that is open now, or was last, as text. */
  readonly sent: string[];
  readonly received: string[];
}

/** Puts one in front of every page that the context opens from now on. */
export async function lineOf(context: BrowserContext): Promise<Line> {
  let end = () => {};
  let isCut = false;
  const line: Line = {
    cut: () => {
      isCut = true;
      end();
    },
    restore: () => {
      isCut = false;
    },
    sent: [],
    received: [],
  };
  await context.routeWebSocket(/\/ws$/, (socket) => {
    if (isCut) {
      void socket.close({ code: 1012 });
      return;
    }
    line.sent.length = 0;
    line.received.length = 0;
    const server = socket.connectToServer();
    socket.onMessage((message) => {
      line.sent.push(...frames(message));
      server.send(message);
    });
    server.onMessage((message) => {
      line.received.push(...frames(message));
      socket.send(message);
    });
    end = () => {
      void server.close();
      void socket.close({ code: 1012 });
    };
  });
  return line;
}

function frames(message: string | Buffer): string[] {
  return message
    .toString()
    .split('\0')
    .map((frame) => frame.replace(/^\n+/, ''))
    .filter((frame) => frame !== '');
}

/** A header of a frame. */
export function header(frame: string, name: string): string | undefined {
  const [head = ''] = frame.split('\n\n', 1);
  const line = head.split('\n').find((line) => line.startsWith(`${name}:`));
  return line?.slice(name.length + 1);
}
