// A frontend as many are that talk to Spring's broker, in Chromium and unchanged, against one node and against three.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { after, describe } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Child } from '../harness/child.js';
import { startChromium } from '../harness/chromium-place.js';
import { Lifetime } from '../harness/lifetime.js';
import { startNginx } from '../harness/nginx.js';
import { startRedis } from '../harness/redis.js';
import { scenario } from '../harness/scenario.js';
import { serveFiles } from '../harness/site.js';
import { balancer } from '../harness/stomp-places.js';
import { OPEN_MS } from '../harness/patience.js';

const require = createRequire(import.meta.url);
const EXAMPLE =
  process.env.STOMP_EXAMPLE_BIN ?? fileURLToPath(new URL('../../target/debug/examples/stomp', import.meta.url));
const life = new Lifetime();
const browser = life.add(await startChromium());
const pages = life.add(await startPages());

after(() => life.end());

/** The frontend's files, as any web server has them. */
async function startPages() {
  const own = (name) => readFile(new URL(`../spring-frontend/${name}`, import.meta.url));
  const library = (name) => readFile(require.resolve(name));
  const script = (body) => ({ type: 'text/javascript', body });
  const files = new Map([
    ['/', { type: 'text/html', body: await own('index.html') }],
    ['/app.js', script(await own('app.js'))],
    ['/sockjs.js', script(await library('sockjs-client/dist/sockjs.min.js'))],
    ['/stomp.js', script(await library('stompjs/lib/stomp.min.js'))],
  ]);
  const { port, stop } = await serveFiles(files);
  return { url: `http://127.0.0.1:${port}`, stop };
}

/** Nodes of the program with the application's handlers, behind the nginx that also serves the pages. */
async function startSite(count, store = []) {
  const nodes = [];
  for (let node = 0; node < count; node += 1) {
    const child = new Child('the stomp example', EXAMPLE, ['127.0.0.1:0', ...store]);
    life.add({
      name: child.name,
      get output() {
        return child.output;
      },
      stop: () => child.end('SIGKILL'),
    });
    const [, url] = await child.line(/^listening on (http:\/\/[^/\s]+)\/ws/);
    nodes.push({ url });
  }
  return life.add(await startNginx((listen) => balancer(listen, nodes, pages.url)));
}

async function open(own, url) {
  const context = await browser.newContext();
  own.add({ stop: () => context.close() });
  const page = await context.newPage();
  page.setDefaultTimeout(OPEN_MS);
  await page.goto(url);
  await page.click('#connect');
  await page.waitForSelector('#disconnect:enabled');
  return page;
}

const items = (page, list) => page.locator(`#${list} li`).allTextContents();

const sites = {
  'one node': await startSite(1),
  'three nodes': await startSite(3, [life.add(await startRedis()).url]),
};

describe('a Spring frontend', () => {
  for (const [name, site] of Object.entries(sites)) {
    scenario(`greets everybody and answers who asked, ${name}`, life, async (own) => {
      const [ann, bob] = await Promise.all([open(own, site.url), open(own, site.url)]);
      for (const [page, who] of [
        [ann, 'Ann'],
        [bob, 'Bob'],
      ]) {
        await page.fill('#name', who);
        await page.click('#hello button');
        for (const each of [ann, bob]) await each.waitForSelector(`#greetings li:has-text("Hello, ${who}!")`);
        await page.waitForSelector('#answers li:has-text("All were told.")');
      }
      for (const page of [ann, bob]) {
        assert.deepEqual(await items(page, 'greetings'), ['Hello, Ann!', 'Hello, Bob!']);
        assert.deepEqual(await items(page, 'answers'), ['All were told.']);
        await page.click('#disconnect');
        await page.waitForSelector('#connect:enabled');
      }
    });
  }
});
