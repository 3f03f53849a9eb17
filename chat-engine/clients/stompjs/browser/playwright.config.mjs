import { execFileSync } from 'node:child_process';
import { resolve } from 'node:path';
import { defineConfig } from '@playwright/test';

/** The machine's own Chromium: nothing is downloaded. */
const script = resolve(import.meta.dirname, '../../../../infra/scripts/chromium.sh');
const [executablePath] = execFileSync(script, { encoding: 'utf8' }).trim().split('\n').slice(-1);
const site = `http://localhost:${process.env.PAGE_PORT}`;

export default defineConfig({
  testDir: '.',
  testMatch: '*.spec.mjs',
  outputDir: '../test-results',
  timeout: 30_000,
  forbidOnly: true,
  workers: 1,
  use: {
    baseURL: site,
    browserName: 'chromium',
    launchOptions: {
      executablePath,
      // Containers have no user namespaces for the sandbox and a small /dev/shm.
      args: ['--no-sandbox', '--disable-dev-shm-usage'],
    },
  },
  webServer: {
    command: 'node page/serve.mjs',
    url: site,
    reuseExistingServer: false,
  },
});
