// A TCP line to the engine that a test can cut or hold, and that counts what passes.

import { EventEmitter, once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer } from 'node:net';

/** A network that misbehaves on demand. `up` is towards the engine, `down` towards the client. */
export class Line {
  #server;
  #target;
  #pairs = new Set();
  #held = new Set();
  #pieces = new EventEmitter();
  /** Bytes, pieces and connections that have passed. */
  passed = { connections: 0, up: 0, down: 0, upPieces: 0, downPieces: 0 };

  /** A line to a port of this machine. */
  static async to(target) {
    const line = new Line();
    line.#target = target;
    line.#server = createServer((client) => line.#accept(client));
    await line.#listen(0);
    line.port = line.#server.address().port;
    return line;
  }

  async #listen(port) {
    this.#server.listen(port, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  #accept(client) {
    this.passed.connections += 1;
    const engine = connect(this.#target, '127.0.0.1');
    const pair = { up: client, down: engine };
    this.#pairs.add(pair);
    this.#pass(client, engine, 'up', pair);
    this.#pass(engine, client, 'down', pair);
  }

  #pass(from, to, direction, pair) {
    from.setNoDelay(true);
    from.on('data', (bytes) => {
      this.passed[direction] += bytes.length;
      this.passed[`${direction}Pieces`] += 1;
      to.write(bytes);
      this.#pieces.emit(direction);
    });
    from.on('end', () => to.end());
    // A reset on one side is one on the other.
    from.on('error', () => to.destroy());
    from.on('close', () => {
      this.#pairs.delete(pair);
      to.end();
    });
    if (this.#held.has(direction)) from.pause();
  }

  /** Ends every connection, without a word to either side; new ones are refused until `restore`. */
  cut() {
    this.#server.close();
    this.drop();
  }

  /** Ends every connection; new ones pass. */
  drop() {
    for (const { up, down } of this.#pairs) {
      up.resetAndDestroy();
      down.resetAndDestroy();
    }
    this.#pairs.clear();
  }

  /** Bytes in this direction stay where they are until `restore`. */
  hold(direction) {
    this.#held.add(direction);
    for (const pair of this.#pairs) pair[direction].pause();
  }

  /** All is well again. */
  async restore() {
    if (!this.#server.listening) await this.#listen(this.port);
    this.#held.clear();
    for (const { up, down } of this.#pairs) {
      up.resume();
      down.resume();
    }
  }

  /** Settles when so many more pieces have passed in this direction. */
  async more(direction, count) {
    for (let piece = 0; piece < count; piece++) await once(this.#pieces, direction);
  }

  /** Ends the line itself. */
  close() {
    this.drop();
    this.#server.close();
  }
}

/**
 * Lines for tests in other languages, by HTTP: `POST /` lays one and answers `{"port": …}`;
 * `POST /{port}/{cut|drop|restore|close|hold-up|hold-down}`; `GET /{port}` says what has passed, and
 * `GET /{port}/{up|down}/{count}` says it when so many more pieces have.
 */
export async function serveLines(target) {
  const lines = new Map();
  const server = createHttpServer(async (request, response) => {
    const [port, verb, count] = request.url.slice(1).split('/');
    if (port === '') {
      const line = await Line.to(target);
      lines.set(String(line.port), line);
      response.end(JSON.stringify({ port: line.port }));
      return;
    }
    const line = lines.get(port);
    if (count !== undefined) await line.more(verb, Number(count));
    else if (verb?.startsWith('hold-')) line.hold(verb.slice('hold-'.length));
    else if (verb !== undefined) await line[verb]();
    response.end(JSON.stringify(line.passed));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = () => {
    for (const line of lines.values()) line.close();
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${server.address().port}`, close };
}
