import { describe, expect, it } from 'vitest';
import { REASONS } from '../../src/decision/situation.ts';
import { guardCard, type Fragment } from '../../src/page/guard-card.ts';
import type { KnownGuard } from '../../src/page/port.ts';
import { rowsOf } from '../../src/page/rows.ts';
import { headline, IN_SHORT } from '../../src/page/words.ts';
import { guardLook, type LookOptions } from './guard-look.ts';

const UNVERIFIABLE: LookOptions['verdicts'] = [0, 1, 2].map(() => ['deny', 'Unverifiable']);

const GUARD: KnownGuard = { namespace: 'default', name: 'etcd', standing: 'fine' };

function cardOf(options: LookOptions = {}, guard = GUARD): string {
  return guardCard(guard, { look: guardLook(options), failure: null, atMs: 0 }).markup.toString();
}

function at(options: LookOptions, atMs: number): Fragment {
  return guardCard(GUARD, { look: guardLook(options), failure: null, atMs });
}

/** What a reader sees or hears, without the drawing. */
function textOf(markup: string): string {
  return markup
    .replaceAll(/<svg[\s\S]*?<\/svg>/g, ' ')
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .replaceAll('&#39;', "'");
}

function headlineOf(options: LookOptions): string {
  const look = guardLook(options);
  return headline(look, rowsOf(look)).join(' ');
}

describe('the headline', () => {
  it.each<[string, LookOptions]>([
    [
      'etcd-0 leads. 3 of 3 voters are healthy, 2 are needed. One of these may be deleted now: etcd-1, etcd-2. Then look again.',
      {},
    ],
    [
      'etcd-0 leads. 2 of 3 voters are healthy, 2 are needed. Only etcd-2 may be deleted now.',
      {
        silent: [2],
        verdicts: [
          ['deny', 'LeaderProtected'],
          ['deny', 'QuorumAtRisk'],
          ['allow', 'NothingToLose'],
        ],
      },
    ],
    [
      'No leader: whoever answers names none. No pod may be deleted now.',
      { leaderless: true, voters: 1, verdicts: [['deny', 'QuorumLost']] },
    ],
    [
      'Too few members answer to tell how the cluster stands. No pod may be deleted now.',
      { silent: [0, 1, 2], voters: 3, verdicts: UNVERIFIABLE },
    ],
    [
      'etcd-0 leads. 4 of 5 voters are healthy, 3 are needed. One of these may be deleted now: etcd-1, etcd-2, etcd-3. Then look again. Being deleted already, or about to be: etcd-4.',
      { voters: 5, reserved: [4] },
    ],
    [
      'etcd-0 leads. 2 of 3 voters are healthy, 2 are needed. No other pod may be deleted now. Being deleted already, or about to be: etcd-1.',
      {
        reserved: [1],
        verdicts: [
          ['deny', 'LeaderProtected'],
          ['allow', 'Spared'],
          ['deny', 'QuorumAtRisk'],
        ],
      },
    ],
    [
      "Its etcd can't be asked: Secret a/b is missing. No pod may be deleted now.",
      { fault: 'Secret a/b is missing', verdicts: UNVERIFIABLE },
    ],
  ])('says %s', (said, options) => {
    expect(headlineOf(options)).toBe(said);
  });
});

describe('a card', () => {
  it('says in words what each pod is, and whether and why it may go', () => {
    const text = textOf(cardOf({ silent: [2], lag: { 1: 1_234 } }));
    expect(text).toContain(
      'etcd-0 Leader Healthy up to date ✕ No LeaderProtected It leads the cluster, or is about to. Another member has to lead first. For kubectl drain, etcd-guard moves leadership away first, if it can.',
    );
    expect(text).toContain('etcd-1 Follower Not healthy: is 1234 entries behind ✓ Yes Spared');
    expect(text).toContain('etcd-2 Follower Not known: connection refused ✓ Yes Spared');
    expect(text).toContain('Needs attention');
    expect(text).toContain('Asked at 00:00:00 UTC');
    expect(text).toContain('{namespace=" default ",guard=" etcd "}');
  });

  it('promises a hand-off only where the policy has one for evictions', () => {
    expect(cardOf({ policy: { handOff: [] } })).not.toContain('For kubectl drain');
    expect(cardOf({ policy: { handOff: [], leader: 'HandOff' } })).toContain('For kubectl drain');
  });

  it('shows what is terminating or reserved, in the drawing too', () => {
    const markup = cardOf({ terminating: [1], reserved: [2] });
    expect(textOf(markup)).toMatch(/etcd-1 Follower .*Terminating/);
    expect(textOf(markup)).toContain(
      'Reserved ✓ Yes Spared Its deletion was allowed a moment ago. The others are judged as if it were gone.',
    );
    const drawing = /<svg[\s\S]*<\/svg>/.exec(markup)?.[0] ?? '';
    expect(drawing).toContain('terminating');
    expect(drawing).toContain('reserved');
  });

  it('draws the leader with a crown, the others around it, learners apart, and says so once', () => {
    const markup = cardOf({ voters: 5, learners: 2 });
    expect(markup.match(/class="crown"/g)).toHaveLength(1);
    expect(markup.match(/class="member /g)).toHaveLength(7);
    expect(markup.match(/class="link /g)).toHaveLength(4);
    expect(markup).toContain('learners, without a vote');
    expect(markup).toMatch(/<svg[^>]*role="img"[^>]*aria-labelledby="guard-default\/etcd-picture"/);
  });

  it('draws no more than can be seen, and says how many there are', () => {
    const markup = cardOf({ voters: 101 });
    expect(markup.match(/class="member /g)).toHaveLength(10);
    expect(markup).toMatch(/and 91 more/);
    expect(textOf(markup)).toContain('and 71 more: see the JSON.');
  });

  it('keeps its version while it looks the same, and changes it when it does not', () => {
    expect(at({}, 1_000).version).toBe(at({}, 2_000).version);
    expect(at({ lag: { 1: 3 } }, 1_000).version).toBe(at({}, 2_000).version);
    expect(at({ silent: [1] }, 1_000).version).not.toBe(at({}, 1_000).version);
  });

  it('needs attention where nothing can be proven, however healthy it looks', () => {
    expect(textOf(cardOf({ verdicts: UNVERIFIABLE }))).toContain('Needs attention');
    expect(textOf(cardOf())).not.toContain('Needs attention');
  });

  it('says above all that nobody is asked, where the API server asks nobody', () => {
    const unasked = 'namespace default is not labelled etcd-guard.io/protect=enabled: label it';
    expect(headlineOf({ unasked })).toBe(
      'etcd-0 leads. 3 of 3 voters are healthy, 2 are needed. Nothing guards these pods now: each of them would go, whatever that does to etcd.',
    );
    const card = cardOf({ unasked });
    expect(textOf(card)).toContain(`Any of them can be deleted: ${unasked} `);
    expect(card).toContain('class="card trouble"');
    const verdicts = [['allow', 'Unverifiable']] as const;
    expect(textOf(cardOf({ unasked, verdicts }))).toContain(
      'No guard is asked about it, so it would go',
    );
  });

  it('says what is wrong where there is nothing to see', () => {
    const gone = guardCard(GUARD, { look: null, failure: null, atMs: 0 });
    expect(textOf(gone.markup.toString())).toContain('This guard has gone.');
    const failed = guardCard(GUARD, { look: null, failure: 'forbidden', atMs: 0 });
    expect(textOf(failed.markup.toString())).toContain("It can't be looked at: forbidden");
    expect(textOf(guardCard(GUARD, null).markup.toString())).toContain('is being asked');
  });

  it('has a sentence for every reason', () => {
    for (const reason of REASONS) expect(IN_SHORT[reason]).toMatch(/^[A-Z].*\.$/);
  });

  it.each([
    '<script>alert(1)</script>',
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    '</title></svg><script>alert(1)</script>',
    '\u202Eevil\u2066',
    '&lt;b&gt;',
  ])('shows %j as it is, wherever it stands', (hostile) => {
    const name = `${hostile}etcd`;
    const guard = { ...GUARD, name };
    const options = { name, prefix: hostile, message: hostile, fault: hostile };
    for (const markup of [cardOf({ ...options, fault: '' }, guard), cardOf(options, guard)]) {
      const tags = new Set(markup.match(/<[a-z]+[1-6]?/g));
      expect([...tags].filter((tag) => !OUR_TAGS.has(tag))).toEqual([]);
      const attributes = markup.replaceAll(/="[^"<>]*"/g, '=""');
      expect(attributes).not.toMatch(/<[^>]*\son[a-z]+=/);
      expect(markup.replaceAll(/<[^>]*>/g, '')).not.toMatch(/[<>]/);
    }
  });
});

const OUR_TAGS = new Set(
  'article header h3 a bdi p svg title line g circle path text table caption thead tr th tbody td span details summary footer time code strong div noscript tfoot'
    .split(' ')
    .map((name) => `<${name}`),
);
