import axe from 'axe-core';
import { execa } from 'execa';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { z } from 'zod';
import { openPage, startBrowser, type OpenedPage } from '../harness/browser.ts';
import { startEtcdCluster, type EtcdCluster } from '../harness/etcd-cluster.ts';
import {
  deleteReview,
  evictionReview,
  guardFile,
  guardFor,
  startGuard,
  type GuardProcess,
  type GuardProcessOptions,
} from '../harness/guard-process.ts';
import { freePort } from '../harness/loopback.ts';
import { temporaryDirectory, type TemporaryDirectory } from '../harness/reaper.ts';
import { until } from '../harness/until.ts';

const PHONE = { width: 390, height: 844 };
const DESK = { width: 1280, height: 900 };
/** From a change in etcd to the page, all in all. */
const VISIBLE_MS = 2_000;

let guard: GuardProcess | undefined;

async function serve(options: Omit<GuardProcessOptions, 'program'>): Promise<GuardProcess> {
  guard = await startGuard({ program: inject('program'), ...options });
  return guard;
}

async function json(url: string): Promise<unknown> {
  return (await fetch(url)).json();
}

const statusSchema = z.looseObject({
  matching: z.number(),
  pages: z.number(),
  items: z.array(
    z.looseObject({
      metadata: z.looseObject({ namespace: z.string(), name: z.string() }),
      spec: z.unknown(),
      status: z.looseObject({ leader: z.string().nullable() }).nullable(),
      pods: z.array(z.looseObject({ pod: z.string(), decision: z.string(), reason: z.string() })),
    }),
  ),
  decisions: z.array(z.looseObject({ pod: z.string(), decision: z.string() })),
});

async function live(page: Page): Promise<void> {
  await page.locator('#live[data-state=live]').waitFor();
}

/** What axe-core finds; empty: nothing. Injected by the protocol, past the page's own policy. */
async function faultsOf(page: Page): Promise<readonly string[]> {
  await page.evaluate(axe.source);
  const found: unknown = await page.evaluate(
    'axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] })',
  );
  const { violations } = z
    .object({
      violations: z.array(
        z.object({ id: z.string(), nodes: z.array(z.object({ target: z.array(z.unknown()) })) }),
      ),
    })
    .parse(found);
  return violations.map(
    ({ id, nodes }) => `${id}: ${JSON.stringify(nodes.map((node) => node.target))}`,
  );
}

describe('the status page in a browser', () => {
  let etcd: EtcdCluster;
  let browser: Browser;
  let pictures: TemporaryDirectory;
  let opened: OpenedPage | undefined;

  beforeAll(async () => {
    [etcd, browser, pictures] = await Promise.all([
      startEtcdCluster(),
      startBrowser(),
      temporaryDirectory('status-page'),
    ]);
  });
  afterEach(async () => {
    await opened?.close();
    opened = undefined;
    await guard?.stop();
    guard = undefined;
  });
  afterAll(async () => {
    await browser.close();
    await etcd.stop();
    await pictures.remove();
  });

  async function open(url: string, options = {}): Promise<OpenedPage> {
    opened = await openPage(browser, url, { viewport: DESK, ...options });
    return opened;
  }

  /** For people: SCREENSHOTS names a folder that stays. */
  async function picture(page: Page, name: string): Promise<Buffer> {
    const folder = process.env['SCREENSHOTS'] ?? pictures.path;
    await mkdir(folder, { recursive: true });
    return page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
  }

  it.each([
    ['light', { colorScheme: 'light', viewport: DESK }],
    ['dark', { colorScheme: 'dark', viewport: DESK }],
    ['phone', { colorScheme: 'light', viewport: PHONE }],
    ['phone-dark', { colorScheme: 'dark', viewport: PHONE }],
  ])('is whole, readable by anyone, and content with its policy: %s', async (name, options) => {
    const at = await serve({ guards: guardFile(guardFor(etcd)) });
    const leader = await etcd.leader();
    await at.review(deleteReview(leader.name));
    await at.review(evictionReview('etcd-0', { dryRun: true }));
    const { page, complaints } = await open(at.url, options);
    await live(page);
    const card = page.getByRole('article', { name: 'default/etcd' });
    const headline = card.locator('.headline');
    await headline
      .getByText(`${leader.name} leads. 3 of 3 voters are healthy, 2 are needed.`)
      .waitFor();
    await headline.getByText('One of these may be deleted now:').waitFor();
    await page
      .getByRole('row', { name: new RegExp(`default/${leader.name}.*LeaderProtected`) })
      .waitFor();
    await card.getByRole('img', { name: /^Cluster default\/etcd/ }).waitFor();
    expect(await faultsOf(page)).toEqual([]);
    const width: unknown = await page.evaluate('document.documentElement.scrollWidth');
    expect(width).toBe(options.viewport.width);
    expect((await picture(page, name)).length).toBeGreaterThan(10_000);
    expect(complaints).toEqual([]);
  });

  it('shows another leader within two seconds, by itself, and says so', async () => {
    const at = await serve({ guards: guardFile(guardFor(etcd)) });
    const { page, complaints } = await open(at.url);
    await live(page);
    for (const round of [1, 2, 3]) {
      const [next] = await etcd.followers();
      if (next === undefined) throw new Error('there is a follower');
      await page.locator('details[data-key^="why "] summary').first().click();
      await etcd.moveLeader(next.name);
      const since = performance.now();
      await page.locator('.headline', { hasText: `${next.name} leads.` }).waitFor();
      expect(performance.now() - since, `round ${round}`).toBeLessThan(VISIBLE_MS);
      await page
        .locator('#said', { hasText: `default/etcd: ${next.name} leads.` })
        .waitFor({ state: 'attached' });
      const row = page.getByRole('row', { name: new RegExp(`^${next.name} Leader`) });
      await row.getByText('LeaderProtected', { exact: true }).waitFor();
    }
    // What somebody has opened stays open, whatever is replaced around it.
    expect(await page.locator('details[data-key^="why "][open]').count()).toBeGreaterThan(0);
    expect(complaints).toEqual([]);
  });

  it('shows a decision as soon as it is made', async () => {
    const at = await serve({ guards: guardFile(guardFor(etcd)) });
    const { page } = await open(at.url);
    await live(page);
    await page.getByText('None yet.').waitFor();
    const leader = await etcd.leader();
    await at.review(deleteReview(leader.name));
    const since = performance.now();
    await page.locator('#decisions').getByText('LeaderProtected').waitFor();
    expect(performance.now() - since).toBeLessThan(VISIBLE_MS);
  });

  it('says when it is stale, and is live again by itself', async () => {
    const metrics = `--metrics-listen=127.0.0.1:${await freePort()}`;
    const guards = guardFile(guardFor(etcd));
    const first = await serve({ guards, args: [metrics] });
    const { page } = await open(first.url);
    await live(page);
    await first.stop();
    await page.locator('#live[data-state=stale]', { hasText: 'Not live' }).waitFor();
    expect(await page.locator('#said').textContent()).toMatch(
      /^Not live: nothing heard for \d+ s$/,
    );
    await serve({ guards, args: [metrics] });
    await live(page);
    expect(await page.locator('#said').textContent()).not.toMatch(/^Not live/);
  });

  it('is whole without JavaScript, filters and all', async () => {
    const at = await serve({
      guards: guardFile(guardFor(etcd), guardFor(etcd, { name: 'other' })),
    });
    const leader = await etcd.leader();
    const [follower] = await etcd.followers();
    await at.review(deleteReview(leader.name));
    await at.review(deleteReview(follower?.name ?? '', { dryRun: true }));
    const { page, complaints } = await open(at.url, { javaScriptEnabled: false });
    // By its place: playwright passes over texts in a noscript.
    await page.locator('main > noscript > p > a').waitFor();
    expect(await page.getByRole('article').count()).toBe(2);
    await page.getByLabel('Namespace or name').fill('OTHER');
    await page.getByRole('button', { name: 'Find' }).click();
    await page.getByRole('article', { name: 'default/other' }).waitFor();
    expect(await page.getByRole('article').count()).toBe(1);
    await page.getByRole('link', { name: 'All guards' }).click();
    await page.getByRole('combobox', { name: 'Decision' }).selectOption('deny');
    await page.getByRole('button', { name: 'Show' }).click();
    // Two guards of the same pods: each refuses.
    await page.locator('.decisions').getByText('AmbiguousGuard').first().waitFor();
    await page.getByRole('combobox', { name: 'Dry run' }).selectOption('yes');
    await page.getByRole('button', { name: 'Show' }).click();
    expect(await page.locator('.decisions tbody tr').count()).toBe(1);
    await page.getByRole('combobox', { name: 'Reason' }).selectOption('Spared');
    await page.getByRole('button', { name: 'Show' }).click();
    await page.getByText('None of the last 2 is like that.').waitFor();
    expect(complaints).toEqual([]);
  });

  it('can be gone through by keyboard, in the order of reading', async () => {
    const at = await serve({ guards: guardFile(guardFor(etcd)) });
    const { page } = await open(at.url);
    await live(page);
    await page.getByText('may be deleted now:').first().waitFor();
    const stops: string[] = [];
    for (let step = 0; step < 11; step += 1) {
      await page.keyboard.press('Tab');
      const stop = z
        .object({ name: z.string(), outlined: z.boolean() })
        .parse(await page.evaluate(FOCUSED));
      expect(stop.outlined, `${stop.name} shows that it has the focus`).toBe(true);
      stops.push(stop.name);
    }
    expect(stops.slice(0, 6)).toEqual([
      'To the guards',
      'etcd-guard',
      'Namespace or name',
      'Find',
      'How to read this',
      'default/etcd',
    ]);
    expect(stops.slice(6, 9)).toEqual(
      Array(3).fill(expect.stringContaining('What the caller would read')),
    );
    expect(stops.slice(9)).toEqual(['as JSON', 'metrics']);
  });

  it('keeps the focus where it is when what is around it changes', async () => {
    const at = await serve({ guards: guardFile(guardFor(etcd)) });
    const { page } = await open(at.url);
    await live(page);
    const link = page.getByRole('link', { name: 'as JSON', exact: true });
    await link.focus();
    const [next] = await etcd.followers();
    await etcd.moveLeader(next?.name ?? '');
    await page.locator('.headline', { hasText: `${next?.name ?? ''} leads.` }).waitFor();
    const stop = z.object({ name: z.string() }).parse(await page.evaluate(FOCUSED));
    expect(stop.name).toBe('as JSON');
  });

  it('shows hostile names and messages as what they are', async () => {
    const at = await serve({
      guards: guardFile(
        guardFor(etcd, { selector: { matchLabels: { app: 'etcd' } } }),
        guardFor(etcd, { name: `${'n'.repeat(240)}.${'m'.repeat(12)}`, namespace: 'o'.repeat(63) }),
      ),
    });
    const metadata = { labels: { app: 'etcd' } };
    const hostile = [
      '<img src=x onerror=alert(1)>',
      '"><script>alert(2)</script>',
      '\u202Ereversed \u05D0\u05D1\u05D2',
      'x'.repeat(5_000),
    ];
    for (const name of hostile) await at.review(deleteReview(name, { metadata }));
    for (const viewport of [DESK, PHONE]) {
      const { page, complaints, close } = await openPage(browser, at.url, { viewport });
      await live(page);
      await page.locator('#decisions').getByText('<img src=x onerror=alert(1)>').first().waitFor();
      expect(await page.locator('img').count()).toBe(0);
      expect(await page.locator('script').count()).toBe(1);
      const width: unknown = await page.evaluate('document.documentElement.scrollWidth');
      expect(width).toBe(viewport.width);
      expect(complaints).toEqual([]);
      await picture(page, `hostile-${viewport.width}`);
      await close();
    }
  });

  it('pages thousands of guards, whoever answers for them', async () => {
    const nobody = { 'etcd-0': '127.0.0.1:1' };
    const many = Array.from({ length: 2_999 }, (_, n) => ({
      apiVersion: 'etcd-guard.io/v1alpha1',
      kind: 'EtcdGuard',
      metadata: { name: `etcd-${n}`, namespace: `team-${n % 10}` },
      spec: { members: { addresses: nobody } },
    }));
    const at = await serve({ guards: guardFile(...many, guardFor(etcd, { namespace: 'ours' })) });
    // Right after its start the process has thousands of clusters to look at for the first time.
    const quick = async (): Promise<boolean> => {
      const since = performance.now();
      await (await fetch(at.url)).text();
      return performance.now() - since < 2_500;
    };
    await until('the page comes quickly', quick, { timeoutMs: 60_000 });
    const { page, complaints } = await open(at.url);
    await live(page);
    await page.getByText('Page 1 of 150').waitFor();
    expect(await page.getByRole('article').count()).toBe(20);
    await page.getByRole('link', { name: 'Next' }).click();
    await page.getByText('Page 2 of 150').waitFor();
    await page.getByLabel('Namespace or name').fill('ours/');
    await page.getByRole('button', { name: 'Find' }).click();
    await page
      .getByRole('article', { name: 'ours/etcd' })
      .locator('.headline', { hasText: '3 of 3 voters are healthy' })
      .waitFor();
    expect(await page.getByRole('article').count()).toBe(1);
    const { matching, pages } = statusSchema.parse(await json(`${at.url}/api/status?page=150`));
    expect([matching, pages]).toEqual([3_000, 150]);
    // Reviews go on beside it.
    const leader = await etcd.leader();
    const { allowed } = await at.review(deleteReview(leader.name, { namespace: 'ours' }));
    expect(allowed).toBe(false);
    expect(complaints).toEqual([]);
  }, 120_000);
});

/** The accessible text of what has the focus, and whether one can see it. */
const FOCUSED = `(() => {
  const one = document.activeElement;
  const label = one.labels?.[0]?.textContent ?? one.textContent;
  return { name: label.replaceAll(/\\s+/g, ' ').trim(), outlined: getComputedStyle(one).outlineStyle !== 'none' };
})()`;

describe('the status page as data', () => {
  let etcd: EtcdCluster;

  beforeAll(async () => {
    etcd = await startEtcdCluster();
  });
  afterEach(async () => {
    await guard?.stop();
    guard = undefined;
  });
  afterAll(() => etcd.stop());

  it('has the items of `etcd-guard status -o json`, and the decisions', async () => {
    const at = await serve({ guards: guardFile(guardFor(etcd)) });
    const leader = await etcd.leader();
    await at.review(deleteReview(leader.name));
    const status = statusSchema.parse(await json(`${at.url}/api/status?guard=default/etcd`));
    const { stdout } = await execa(process.execPath, [
      inject('program'),
      'status',
      `--guards=${at.guardsFile}`,
      '-o',
      'json',
    ]);
    const { items } = statusSchema.pick({ items: true }).parse(JSON.parse(stdout));
    expect(status.items.map(({ metadata, pods }) => ({ metadata, pods }))).toEqual(
      items.map(({ metadata, pods }) => ({ metadata, pods })),
    );
    expect(status.items[0]?.status?.leader).toBe(leader.name);
    expect(status.decisions).toMatchObject([{ pod: leader.name, decision: 'deny' }]);
  });

  it('has no secret, nor where one is', async () => {
    const files = await temporaryDirectory('credentials');
    const paths = {
      usernameFile: join(files.path, 'username'),
      passwordFile: join(files.path, 'password'),
    };
    await Promise.all([
      writeFile(paths.usernameFile, 'root'),
      writeFile(paths.passwordFile, 's3cret'),
    ]);
    const at = await serve({ guards: guardFile(guardFor(etcd, { auth: paths })) });
    await at.review(deleteReview('etcd-0', { user: 'alice@example.org' }));
    for (const path of ['/', '/api/status']) {
      const text = await (await fetch(at.url + path)).text();
      expect(text).toContain('etcd-0');
      for (const hidden of ['s3cret', files.path, 'usernameFile', 'alice@example.org']) {
        expect(text).not.toContain(hidden);
      }
    }
    await files.remove();
  });

  it('can be switched off', async () => {
    const at = await serve({ guards: guardFile(guardFor(etcd)), args: ['--status-page=off'] });
    for (const path of ['/api/status', '/events', '/icon.svg']) {
      expect((await fetch(at.url + path)).status).toBe(404);
    }
    const page = await (await fetch(at.url)).text();
    expect(page).toContain('/metrics');
    expect(page).not.toContain('default/etcd');
    expect((await fetch(`${at.url}/metrics`)).status).toBe(200);
  });

  it('asks etcd no more than it does anyway, once nobody watches', async () => {
    const at = await serve({ guards: guardFile(guardFor(etcd)) });
    await fetch(at.url);
    const asked = async (): Promise<number> => {
      const counts = await at.samples('etcdguard_etcd_request_duration_seconds_count');
      return Object.values(counts).reduce((sum, count) => sum + count, 0);
    };
    // Its own look at a guard comes every half minute: two seconds without any tell that nobody asks.
    let [before, since] = [await asked(), performance.now()];
    const quiet = await until('nothing is asked for two seconds', async () => {
      const now = await asked();
      if (now !== before) [before, since] = [now, performance.now()];
      return performance.now() - since > 2_000;
    });
    expect(quiet).toBe(true);
  });
});
