// Serves a page with @stomp/stompjs on it, as any static web server would.

import { createReadStream, existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const library = join(fileURLToPath(import.meta.resolve('@stomp/stompjs')), '..');
const types = { '.html': 'text/html', '.mjs': 'text/javascript', '.js': 'text/javascript' };

createServer((request, response) => {
  const path = normalize(new URL(request.url, 'http://localhost').pathname);
  const file = path.startsWith('/stompjs/')
    ? join(library, path.slice('/stompjs/'.length))
    : join(import.meta.dirname, path === '/' ? 'index.html' : path);
  if (!existsSync(file)) {
    response.writeHead(404).end();
    return;
  }
  response.setHeader('Content-Type', types[extname(file)] ?? 'text/plain');
  createReadStream(file).pipe(response);
}).listen(Number(process.env.PAGE_PORT), '127.0.0.1');
