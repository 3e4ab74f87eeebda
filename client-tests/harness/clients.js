// The stock clients under their versions: as a module for Node and as a script for pages.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { build } from 'esbuild';

const require = createRequire(import.meta.url);

/** The current client; its package holds the script that pages use. */
export const current = {
  version: '1.6.1',
  load: () => require('sockjs-client'),
  script: () => readFile(require.resolve('sockjs-client/dist/sockjs.min.js'), 'utf8'),
};

/** An old client; its package holds no script for pages, so one is bundled from its modules. */
export const old = {
  version: '1.0.3',
  load: () => require('sockjs-client-old'),
  script: async () => {
    const { outputFiles } = await build({
      entryPoints: [require.resolve('sockjs-client-old')],
      bundle: true,
      write: false,
      platform: 'browser',
      format: 'iife',
      globalName: 'SockJS',
      define: { global: 'window', 'process.env.NODE_ENV': '"production"' },
    });
    return outputFiles[0].text;
  },
};
