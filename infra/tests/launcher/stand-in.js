#!/usr/bin/env node
// A node of a cluster that only says what it was told, and that it is ready.
const { createServer } = require('node:http');

const told = Object.entries(process.env).filter(([name]) => /^(MOYIZA_|DATABASE_URL$)/.test(name));
console.log([`PID=${process.pid}`, ...told.map((variable) => variable.join('='))].join(' '));
const [host, port] = process.env.ADDRESS.split(':');
createServer((_, response) => response.end('ready')).listen(Number(port), host);
process.on('SIGTERM', () => process.exit(0));
