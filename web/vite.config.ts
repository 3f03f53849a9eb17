import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

// `npm run dev` serves the page with hot reload in front of a running api. The engine checks where pages come
// from, so start it with MOYIZA_ORIGINS=http://localhost:5173 for this.
const api = process.env.MOYIZA_DEV_API ?? 'http://localhost:8080';

export default defineConfig({
  plugins: [react()],
  build: { target: 'es2022', sourcemap: false },
  server: {
    port: 5173,
    proxy: { '/api': api, '/dev': api, '/.well-known': api },
  },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
});
