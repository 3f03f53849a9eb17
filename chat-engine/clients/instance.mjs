// An instance of Moyiza for tests: embedded, in a temporary folder, on free ports.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const repository = resolve(import.meta.dirname, '../..');
/** The binary under test: the debug build, or what MOYIZA_BIN names. */
const binary = resolve(process.env.MOYIZA_BIN ?? join(repository, 'target/debug/moyiza'));
/** How long a start may take, in milliseconds; the first one obtains PostgreSQL. */
const START = 600_000;
/** How long stopping may take, in milliseconds. */
const STOP = 60_000;
/** What is kept of an instance's output, in lines. */
const OUTPUT = 400;

/** A stopped instance can be started again: same ports, same data. */
export class Instance {
  #directory;
  #child;
  #environment;
  /** The last lines of its output. */
  output = [];

  /** Makes the folder and takes the ports; `settings` are MOYIZA_* variables beyond the usual. */
  static async create(settings = {}) {
    if (!existsSync(binary))
      throw new Error(`${binary} is not there: cargo build --workspace, or set MOYIZA_BIN`);
    const instance = new Instance();
    instance.#directory = await mkdtemp(join(tmpdir(), 'moyiza-clients-'));
    // PostgreSQL does not run as root, and has to pass.
    await chmod(instance.#directory, 0o711);
    const [api, engine] = await freePorts(2);
    instance.enginePort = engine;
    instance.#environment = {
      ...ownEnvironment(),
      MOYIZA_DIR: join(instance.#directory, 'instance'),
      MOYIZA_SERVERS_DIR: process.env.MOYIZA_SERVERS_DIR ?? join(repository, '.servers'),
      MOYIZA_API_ADDR: `127.0.0.1:${api}`,
      MOYIZA_ENGINE_ADDR: `127.0.0.1:${engine}`,
      MOYIZA_DEVELOPMENT: 'true',
      MOYIZA_TOPICS: 'true',
      MOYIZA_MAX_FRAME_BYTES: '65536',
      ...settings,
    };
    return instance;
  }

  /** Where STOMP clients connect. */
  get url() {
    return `ws://127.0.0.1:${this.enginePort}/ws`;
  }

  /** Settles when the instance is ready, or fails if it ends or takes too long. */
  start() {
    const child = spawn(binary, ['run', '--no-demo'], {
      cwd: this.#directory,
      env: this.#environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    return new Promise((done, failed) => {
      const timer = setTimeout(() => failed(new Error(`not ready after ${START / 1000} s`)), START);
      for (const stream of [child.stdout, child.stderr]) {
        createInterface({ input: stream }).on('line', (line) => {
          this.output.push(line);
          if (this.output.length > OUTPUT) this.output.shift();
          if (line.includes('panicked')) this.panicked = true;
          if (/moyiza is ready at /.test(line)) done(clearTimeout(timer));
        });
      }
      child.once('error', failed);
      child.once('exit', (status) => {
        clearTimeout(timer);
        failed(new Error(`moyiza ended with ${status} before it was ready:\n${this.output.join('\n')}`));
      });
    });
  }

  /** Makes people and rooms; returns the folder with tokens.txt and rooms.txt. */
  async seed(users, rooms) {
    const out = join(this.#directory, 'seed');
    await mkdir(out, { recursive: true });
    const options = ['--users', users, '--rooms', rooms, '--out', out].map(String);
    await promisify(execFile)(binary, ['seed', ...options], { cwd: this.#directory, env: this.#environment });
    return out;
  }

  /** Stops it as Ctrl-C does; says what was wrong, or nothing. */
  async stop() {
    const child = this.#child;
    if (child === undefined) return undefined;
    this.#child = undefined;
    if (child.exitCode !== null || child.signalCode !== null) return 'moyiza had ended by itself';
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP);
    const [status] = await ended;
    clearTimeout(timer);
    if (status !== 0) return `moyiza ended with ${status}`;
    return this.panicked ? 'moyiza panicked' : undefined;
  }

  /** Stops it if it runs, and leaves nothing behind. */
  async remove() {
    const wrong = await this.stop();
    await rm(this.#directory, { recursive: true, force: true });
    return wrong;
  }
}

/** The environment without settings meant for another instance; moyiza refuses names it does not know. */
export function ownEnvironment() {
  const ours = Object.entries(process.env).filter(([name]) => !/^(MOYIZA_|DATABASE_URL$)/.test(name));
  return Object.fromEntries(ours);
}

/** Ports that nothing listens on, all different. */
export async function freePorts(count) {
  const servers = await Promise.all(Array.from({ length: count }, listen));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

function listen() {
  return new Promise((done, failed) => {
    const server = createServer();
    server.once('error', failed);
    server.listen(0, '127.0.0.1', () => done(server));
  });
}
