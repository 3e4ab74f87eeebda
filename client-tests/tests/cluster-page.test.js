// The page as `sockhop cluster` serves it: one sees a session go from node to node, and may end nodes under it.
/* global document, window */

import assert from 'node:assert/strict';
import { after, describe } from 'node:test';
import { startChromium } from '../harness/chromium-place.js';
import { startClusterCommand } from '../harness/cluster-command.js';
import { openLab } from '../harness/lab-page.js';
import { Lifetime } from '../harness/lifetime.js';
import { scenario } from '../harness/scenario.js';
import { startSockhop } from '../harness/sockhop.js';

const life = new Lifetime();
const browser = life.add(await startChromium());

const PHONE = { width: 360, height: 740 };
// Nodes that hold nobody for long when they drain.
const QUICK = ['--', '--drain-timeout', '3s'];

async function clusterLab(test, options) {
  const cluster = test.add(await startClusterCommand(QUICK));
  return test.add(await openLab(browser, cluster.url, options));
}

describe('the page of a cluster', () => {
  after(() => life.end());

  for (const transport of ['xhr-polling', 'xhr-streaming', 'iframe-xhr-polling']) {
    scenario(`shows how a session hops over ${transport}`, life, async (test) => {
      const page = await clusterLab(test);
      await page.connect(transport);
      await page.ping(9);
      await page.reads('plot-summary', /\(9 messages\)/);
      await page.reads('node-summary', /answered by 3 nodes; the session went to another node \d+ times?\.$/);
      const hops = await page.at('node-hops').locator('li').allInnerTexts();
      assert.deepEqual([...new Set(hops.map((hop) => /\d/.exec(hop)[0]))].sort(), ['1', '2', '3']);
      assert.ok(
        hops.some((hop) => hop.includes('send')),
        hops.join(' '),
      );
    });
  }

  scenario('shows which node carries a WebSocket', life, async (test) => {
    const page = await clusterLab(test);
    await page.connect('websocket');
    await page.reads('node-socket', /^The WebSocket is carried by node [123] \([0-9a-f]{16}\)/);
  });

  scenario('drains and starts a node while its session goes on', life, async (test) => {
    const page = await clusterLab(test);
    await page.connect('xhr-polling');
    await page.reads('node-2-state', /^Running$/);
    await page.at('node-2-drain').click();
    await page.reads('node-2-state', /^Ended$/);
    await page.reads('node-status', /^Node 2 was drained and ended in order\.$/);
    assert.ok(await page.at('node-2-drain').isDisabled());
    await page.ping(6);
    await page.reads('plot-summary', /\(6 messages\)/);
    await page.at('node-2-start').click();
    await page.reads('node-2-state', /^Running$/);
    await page.ping(6);
    await page.reads('plot-summary', /\(12 messages\)/);
    assert.equal(await page.text('state'), 'Open');
    assert.equal(await page.text('reconnects'), '0');
  });

  scenario('kills nodes one after another while its session goes on', life, async (test) => {
    const page = await clusterLab(test);
    await page.connect('xhr-polling');
    for (const number of [1, 2, 3]) {
      await page.at(`node-${number}-kill`).click();
      await page.reads(`node-${number}-state`, /^Ended$/);
      await page.ping(3);
      await page.reads('plot-summary', new RegExp(`\\(${number * 3} messages\\)`), 30_000);
      await page.at(`node-${number}-start`).click();
      await page.reads(`node-${number}-state`, /^Running$/);
    }
    assert.equal(await page.text('state'), 'Open');
    assert.equal(await page.text('reconnects'), '0');
  });

  scenario('takes orders by keyboard, and keeps the focus where it is of use', life, async (test) => {
    const { page, at, reads } = bound(await clusterLab(test));
    await reads('node-1-state', /^Running$/);
    await at('node-1-kill').focus();
    await page.keyboard.press('Enter');
    await reads('node-1-state', /^Ended$/);
    assert.equal(await page.evaluate(() => document.activeElement.dataset.testid), 'node-1-start');
    await page.keyboard.press('Space');
    await reads('node-1-state', /^Running$/);
  });

  scenario('takes what the cluster says as text', life, async (test) => {
    const markup = '<img src=x onerror="document.title=1">';
    const page = await clusterLab(test, {
      before: (opening) =>
        opening.route('**/cluster/state', (route) =>
          route.fulfill({
            json: { token: 'x', nodes: [{ number: 1, url: '/', phase: 'ended', pid: null, id: null, how: markup }] },
          }),
        ),
    });
    await page.reads('node-1', /It <img src=x onerror="document\.title=1">\./);
    assert.equal(await page.at('node-1').locator('img').count(), 0);
  });

  scenario('fits a phone', life, async (test) => {
    const page = await clusterLab(test, { size: PHONE });
    await page.connect('xhr-polling');
    await page.ping(5);
    await page.reads('plot-summary', /\(5 messages\)/);
    await page.reads('node-3-state', /^Running$/);
    assert.equal(await page.page.evaluate(() => document.documentElement.scrollWidth), PHONE.width);
  });

  scenario('is closed to pages of other origins', life, async (test) => {
    const cluster = test.add(await startClusterCommand(QUICK));
    const foreign = test.add(await startSockhop());
    const context = await browser.newContext();
    test.add({ stop: () => context.close() });
    const page = await context.newPage();
    await page.goto(foreign.url);
    const outcome = await page.evaluate(async (url) => {
      const tried = async (path, options) => {
        try {
          return (await window.fetch(`${url}${path}`, options)).status;
        } catch {
          return 'refused';
        }
      };
      const order = { method: 'POST', headers: { 'X-Cluster-Token': 'x' } };
      return [
        await tried('/cluster/state'),
        await tried('/cluster/nodes/1/kill', { method: 'POST' }),
        await tried('/cluster/nodes/1/kill', order),
      ];
    }, cluster.url);
    assert.deepEqual(outcome, ['refused', 'refused', 'refused']);
    const lab = test.add(await openLab(browser, cluster.url));
    await lab.reads('node-1-state', /^Running$/);
  });

  scenario('shows no nodes where there is no cluster', life, async (test) => {
    const plain = test.add(await startSockhop());
    let asked = 0;
    const before = (opening) => opening.on('request', (request) => (asked += request.url().includes('/cluster/')));
    const page = test.add(await openLab(browser, plain.url, { before }));
    await page.connect('xhr-polling');
    assert.ok(await page.at('nodes').isHidden());
    assert.equal(asked, 0, 'nobody is asked for a cluster');
  });

  scenario('shows the nodes that answer where they say so, without buttons', life, async (test) => {
    const telling = test.add(await startSockhop({ args: ['--show-node'] }));
    const page = test.add(await openLab(browser, telling.url));
    await page.connect('xhr-polling');
    await page.ping(2);
    await page.reads('node-summary', /answered by 1 node; the session went to another node 0 times\.$/);
    assert.equal(await page.at('node-list').locator('button').count(), 0);
  });
});

/** The lab's parts under their bare names. */
function bound(lab) {
  return { page: lab.page, at: lab.at.bind(lab), reads: lab.reads.bind(lab) };
}
