// What tests call inside the page: a client, and what came to it as things to wait for.

import { Client, Versions } from '/stompjs/index.js';

/** What has come and not been looked at. */
class Inbox {
  #waiting = [];
  #come = [];

  put = (item) => {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(item);
    else this.#come.push(item);
  };

  take() {
    return this.#come.length > 0
      ? Promise.resolve(this.#come.shift())
      : new Promise((done) => this.#waiting.push(done));
  }
}

/** A client, not yet active. Every callback has an inbox. */
function session({ brokerURL, token, versions, ...options }) {
  const connected = new Inbox();
  const errors = new Inbox();
  const closes = new Inbox();
  const beats = new Inbox();
  const lost = new Inbox();
  const client = new Client({
    brokerURL,
    connectHeaders: token ? { Authorization: `Bearer ${token}` } : {},
    reconnectDelay: 0,
    onConnect: connected.put,
    onStompError: errors.put,
    onWebSocketClose: closes.put,
    onHeartbeatReceived: () => beats.put('beat'),
    onHeartbeatLost: () => lost.put('lost'),
    ...(versions && { stompVersions: new Versions(versions) }),
    ...options,
  });
  const receipt = (act) => {
    const id = crypto.randomUUID();
    return new Promise((done) => {
      client.watchForReceipt(id, done);
      act({ receipt: id });
    });
  };
  const subscribe = async (destination, headers = {}) => {
    const inbox = new Inbox();
    await receipt((receipt) => {
      inbox.subscription = client.subscribe(destination, inbox.put, { ...headers, ...receipt });
    });
    return inbox;
  };
  /** Sends, and gives the seq that the RECEIPT has. */
  const send = async (destination, content, headers = {}) => {
    const body = content === undefined ? '' : JSON.stringify({ content });
    const done = await receipt((receipt) =>
      client.publish({ destination, body, headers: { ...headers, ...receipt } }),
    );
    return done.headers.seq;
  };
  return { client, connected, errors, closes, beats, lost, receipt, subscribe, send };
}

/** Messages up to the first one like this, with it: what they say, and with which headers. */
async function upTo(inbox, isIt) {
  const messages = [];
  do {
    const { headers, body } = await inbox.take();
    messages.push({ ...JSON.parse(body), seq: headers.seq, history: headers.history, unread: headers.unread });
  } while (!isIt(messages.at(-1)));
  return messages;
}

/** A client that has connected. */
async function open(options) {
  const made = session(options);
  made.client.activate();
  await made.connected.take();
  return made;
}

Object.assign(globalThis, { session, open, upTo, topic: () => `/topic/page-${crypto.randomUUID()}` });
document.documentElement.dataset.ready = 'yes';
