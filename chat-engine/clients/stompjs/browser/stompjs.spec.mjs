import { expect, heartBeat, options, test } from './page.mjs';

for (const version of ['1.2', '1.1', '1.0']) {
  test(`version ${version}: connect, subscribe, publish, receipts`, async ({ page }) => {
    const result = await page.evaluate(
      async (options) => {
        const { client, subscribe, receipt } = await open(options);
        const destination = topic();
        const inbox = await subscribe(destination);
        const done = await receipt((headers) => client.publish({ destination, body: '안녕 👋', headers }));
        const { body } = await inbox.take();
        const { connectedVersion: version } = client;
        return { version, protocol: client.webSocket.protocol, receipt: done.command, body };
      },
      options({ versions: [version] }),
    );
    const protocol = `v${version.replace('.', '')}.stomp`;
    expect(result).toEqual({ version, protocol, receipt: 'RECEIPT', body: '안녕 👋' });
  });
}

test('of all versions the newest', async ({ page }) => {
  const protocol = await page.evaluate(
    async (options) => (await open(options)).client.webSocket.protocol,
    options(),
  );
  expect(protocol).toBe('v12.stomp');
});

test('compression is agreed on, and used both ways', async ({ page, line }) => {
  const extensions = await page.evaluate(
    async (options) => {
      globalThis.a = await open(options);
      globalThis.destination = topic();
      globalThis.inbox = await a.subscribe(destination);
      return a.client.webSocket.extensions;
    },
    options({ brokerURL: `ws://127.0.0.1:${line.port}/ws` }),
  );
  expect(extensions).toContain('permessage-deflate');
  const before = { ...line.passed };
  const length = await page.evaluate(async () => {
    a.client.publish({ destination, body: 'Thursday, at eight. '.repeat(3000) });
    return (await inbox.take()).body.length;
  });
  expect(length).toBe(60_000);
  expect(line.passed.up - before.up).toBeLessThan(10_000);
  expect(line.passed.down - before.down).toBeLessThan(10_000);
});

test('a page from somewhere else is refused', async ({ page }) => {
  await page.goto(page.url().replace('localhost', '127.0.0.1'));
  await page.locator('html[data-ready]').waitFor();
  const code = await page.evaluate(async (options) => {
    const { client, closes } = session(options);
    client.activate();
    return (await closes.take()).code;
  }, options());
  expect(code).toBe(1006);
});

test('binary bodies with every byte, and large ones', async ({ page }) => {
  const same = await page.evaluate(async (options) => {
    const { client, subscribe } = await open(options);
    const destination = topic();
    const inbox = await subscribe(destination);
    const bodies = [
      Uint8Array.from({ length: 256 }, (_, index) => index),
      new Uint8Array(5000),
      crypto.getRandomValues(new Uint8Array(65_000)),
    ];
    const same = [];
    for (const binaryBody of bodies) {
      client.publish({ destination, binaryBody });
      const got = (await inbox.take()).binaryBody;
      same.push(got.length === binaryBody.length && got.every((byte, index) => byte === binaryBody[index]));
    }
    return same;
  }, options());
  expect(same).toEqual([true, true, true]);
});

test('large texts, whole and split over WebSocket messages', async ({ page }) => {
  for (const splitLargeFrames of [false, true]) {
    const same = await page.evaluate(async (options) => {
      const { client, subscribe } = await open(options);
      const destination = topic();
      const inbox = await subscribe(destination);
      const body = '모이자, '.repeat(5000);
      client.publish({ destination, body });
      return (await inbox.take()).body === body;
    }, options({ splitLargeFrames }));
    expect(same).toBe(true);
  }
});

test('too large a frame: ERROR and a clean close', async ({ page }) => {
  const { message, wasClean } = await page.evaluate(async (options) => {
    const { client, errors, closes } = await open(options);
    client.publish({ destination: topic(), body: 'x'.repeat(200_000) });
    const { headers, body } = await errors.take();
    return { message: `${headers.message} ${body}`, wasClean: (await closes.take()).wasClean };
  }, options());
  expect(message).toMatch(/65,?536|64 ?KiB/);
  expect(wasClean).toBe(true);
});

test('200 subscriptions on one connection', async ({ page }) => {
  const bodies = await page.evaluate(async (options) => {
    const { client, subscribe } = await open(options);
    const destination = topic();
    const inboxes = await Promise.all([...Array(200).keys()].map((n) => subscribe(`${destination}-${n}`)));
    for (let n = 0; n < 200; n += 20) client.publish({ destination: `${destination}-${n}`, body: String(n) });
    const chosen = inboxes.filter((_, n) => n % 20 === 0);
    return Promise.all(chosen.map(async (inbox) => (await inbox.take()).body));
  }, options());
  expect(bodies).toEqual(Array.from({ length: 10 }, (_, n) => String(n * 20)));
});

test('transactions', async ({ page }) => {
  const bodies = await page.evaluate(async (options) => {
    const { client, subscribe } = await open(options);
    const destination = topic();
    const inbox = await subscribe(destination);
    const send = (body, id) =>
      client.publish({ destination, body, headers: id === undefined ? {} : { transaction: id } });
    const [kept, dropped] = [client.begin(), client.begin()];
    send('kept', kept.id);
    send('dropped', dropped.id);
    send('outside');
    dropped.abort();
    kept.commit();
    return [(await inbox.take()).body, (await inbox.take()).body];
  }, options());
  expect(bodies).toEqual(['outside', 'kept']);
});

test('acknowledgements', async ({ page }) => {
  const receipts = await page.evaluate(async (options) => {
    const { client, subscribe, receipt } = await open(options);
    const destination = topic();
    const inbox = await subscribe(destination, { ack: 'client-individual' });
    client.publish({ destination, body: 'one' });
    client.publish({ destination, body: 'two' });
    const [one, two] = [await inbox.take(), await inbox.take()];
    return [
      (await receipt((headers) => two.ack(headers))).command,
      (await receipt((headers) => one.nack(headers))).command,
    ];
  }, options());
  expect(receipts).toEqual(['RECEIPT', 'RECEIPT']);
});

test('headers that need escaping', async ({ page }) => {
  const headers = { colon: 'a:b', newline: 'a\nb', return: 'a\rb', backslash: 'a\\ b', 모임: '일상속 🎲' };
  const got = await page.evaluate(
    async ([options, headers]) => {
      const { client, subscribe } = await open(options);
      const destination = topic();
      const inbox = await subscribe(destination);
      client.publish({ destination, body: 'x', headers });
      return (await inbox.take()).headers;
    },
    [options(), headers],
  );
  expect(got).toMatchObject(headers);
});

test('an ERROR names its frame, and the connection closes cleanly', async ({ page }) => {
  const result = await page.evaluate(async (options) => {
    const { client, errors, closes } = await open(options);
    client.publish({ destination: '/nowhere', body: 'x', headers: { receipt: 'r-1' } });
    const { headers } = await errors.take();
    const { code, wasClean } = await closes.take();
    return { receipt: headers['receipt-id'], code, wasClean };
  }, options());
  expect(result).toEqual({ receipt: 'r-1', code: 1008, wasClean: true });
});

test('deactivate closes cleanly', async ({ page }) => {
  const result = await page.evaluate(async (options) => {
    const { client, closes } = await open(options);
    await client.deactivate();
    const { code, wasClean } = await closes.take();
    return { code, wasClean };
  }, options());
  expect(result).toEqual({ code: 1000, wasClean: true });
});

test('comes back after the line was cut', async ({ page, line }) => {
  await page.evaluate(
    async (options) => {
      globalThis.a = await open(options);
    },
    options({ brokerURL: `ws://127.0.0.1:${line.port}/ws`, reconnectDelay: 50 }),
  );
  line.cut();
  // The loss, and an attempt that comes to nothing.
  const codes = await page.evaluate(async () => [(await a.closes.take()).code, (await a.closes.take()).code]);
  expect(codes).toEqual([1006, 1006]);
  await line.restore();
  const body = await page.evaluate(async () => {
    await a.connected.take();
    const destination = topic();
    const inbox = await a.subscribe(destination);
    a.client.publish({ destination, body: 'back' });
    return (await inbox.take()).body;
  });
  expect(body).toBe('back');
});

test('heart-beats in both directions keep a quiet connection', async ({ page, line }) => {
  const beats = { heartbeatIncoming: heartBeat, heartbeatOutgoing: heartBeat };
  await page.evaluate(
    async (options) => {
      globalThis.a = await open(options);
    },
    options({ brokerURL: `ws://127.0.0.1:${line.port}/ws`, ...beats }),
  );
  const before = { ...line.passed };
  const connected = await page.evaluate(async () => {
    for (let beat = 0; beat < 4; beat++) await a.beats.take();
    return a.client.connected;
  });
  expect(connected).toBe(true);
  expect(line.passed.upPieces - before.upPieces).toBeGreaterThanOrEqual(3);
  expect(line.passed.connections).toBe(1);
});

test('a silent broker is noticed', async ({ page, line }) => {
  const beats = { heartbeatIncoming: heartBeat, heartbeatOutgoing: heartBeat };
  const more = { brokerURL: `ws://127.0.0.1:${line.port}/ws`, reconnectDelay: 50, ...beats };
  await page.evaluate(async (options) => {
    globalThis.a = await open({ ...options, discardWebsocketOnCommFailure: true });
  }, options(more));
  line.hold('down');
  await page.evaluate(() => a.lost.take());
  await line.restore();
  await page.evaluate(() => a.connected.take());
});
