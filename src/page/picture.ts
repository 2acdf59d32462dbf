import { html, trusted, type Html } from './html.ts';
import type { PodRow } from './rows.ts';

const WIDTH = 340;
const CENTRE_X = WIDTH / 2;
const TOP_Y = 58;
/** From one row of nodes with their labels to the next. */
const ROW = 112;
const REACH_X = 112;
/** More would be a tangle; the table beside has them all. */
const VOTERS_DRAWN = 9;
const LEARNERS_DRAWN = 3;
const LONGEST_LABEL = 13;

interface Place {
  readonly x: number;
  readonly y: number;
}

/**
 * The cluster as a drawing: voters around their leader, learners apart. It shows no more than the
 * table beside it, so it is one image to a screen reader.
 */
export function picture(rows: readonly PodRow[], described: { id: string; text: string }): Html {
  const leader = rows.find(({ role }) => role === 'Leader') ?? null;
  const voters = rows
    .filter((row) => row !== leader && row.role !== 'Learner')
    .slice(0, VOTERS_DRAWN);
  const learners = rows.filter(({ role }) => role === 'Learner').slice(0, LEARNERS_DRAWN);
  const centre = { x: CENTRE_X, y: voters.length > 2 ? TOP_Y + ROW : TOP_Y };
  const places = around(centre, voters.length);
  const bottom = Math.max(centre.y, ...places.map(({ y }) => y)) + 62;
  const height = learners.length > 0 ? bottom + ROW + 20 : bottom;
  const drawn = voters.length + learners.length + (leader === null ? 0 : 1);
  return html`<svg
    class="cluster"
    viewBox="0 0 ${WIDTH} ${height}"
    role="img"
    aria-labelledby="${described.id}"
  >
    <title id="${described.id}">${described.text}</title>
    ${leader !== null && voters.map((row, index) => link(row, centre, places[index] ?? centre))}
    ${leader === null ? nobody(centre) : node(leader, centre)}
    ${voters.map((row, index) => node(row, places[index] ?? centre))}
    ${learners.length > 0 && apart(learners, bottom)}
    ${rows.length > drawn && html`<text class="more" x="${WIDTH - 8}" y="16" text-anchor="end">and ${rows.length - drawn} more</text>`}
  </svg>`;
}

/** On an ellipse; one or two stand beside the leader. */
function around({ x, y }: Place, count: number): readonly Place[] {
  const start = count % 2 === 1 && count > 1 ? -Math.PI / 2 : Math.PI / Math.max(count, 1);
  const turned = count <= 2 ? Math.PI : start;
  return Array.from({ length: count }, (_, index) => {
    const angle = turned + (2 * Math.PI * index) / count;
    return {
      x: Math.round(x + REACH_X * Math.cos(angle)),
      y: Math.round(y + (count > 2 ? ROW * Math.sin(angle) : 0)),
    };
  });
}

function link({ health }: PodRow, from: Place, to: Place): Html {
  return html`<line
    class="link ${health}"
    x1="${from.x}"
    y1="${from.y}"
    x2="${to.x}"
    y2="${to.y}"
  />`;
}

function nobody({ x, y }: Place): Html {
  return html`<g transform="translate(${x} ${y})"
    ><circle class="nobody" r="25" /><text class="label" y="-2">no</text
    ><text class="label" y="12">leader</text></g
  >`;
}

const CROWN = trusted(
  '<path class="crown" d="M-13 -29 L-15 -43 L-7 -36 L0 -46 L7 -36 L15 -43 L13 -29 Z"/>',
);

/** By shape as well as by colour: a check, an exclamation mark, a question mark. */
const SIGNS: Readonly<Record<PodRow['health'], Html>> = {
  Healthy: trusted('<path class="sign" d="M-9 0 L-3 7 L10 -7"/>'),
  Unhealthy: trusted('<path class="sign" d="M0 -10 L0 2 M0 8.5 L0 9.5"/>'),
  Unknown: trusted('<text class="question" y="8">?</text>'),
};

function node(row: PodRow, { x, y }: Place): Html {
  const { health, role } = row;
  const under = verdictLabel(row);
  return html`<g transform="translate(${x} ${y})">
    ${role === 'Leader' && CROWN}
    <circle class="member ${health}" r="${role === 'Leader' ? 27 : 23}" />
    <g class="${health}">${SIGNS[health]}</g>
    <text class="label" y="43">${label(row.name)}</text>
    <text class="under ${under.kind}" y="58">${under.text}</text>
  </g>`;
}

function verdictLabel({ verdict, isPod }: PodRow): {
  readonly kind: string;
  readonly text: string;
} {
  if (!isPod || verdict === null) return { kind: '', text: 'no known pod' };
  if (verdict.terminating) return { kind: 'asks', text: 'terminating' };
  if (verdict.reserved) return { kind: 'asks', text: 'reserved' };
  return verdict.decision === 'allow'
    ? { kind: 'goes', text: '✓ may go' }
    : { kind: 'stays', text: '✕ must stay' };
}

function apart(learners: readonly PodRow[], y: number): Html {
  const step = WIDTH / (learners.length + 1);
  return html`<line class="border" x1="12" y1="${y + 10}" x2="${WIDTH - 12}" y2="${y + 10}" />
    <text class="more" x="12" y="${y + 26}">learners, without a vote</text>
    ${learners.map((row, index) => node(row, { x: Math.round(step * (index + 1)), y: y + 66 }))}`;
}

/** The end tells pods of one StatefulSet apart. Isolated, so that no text turns what is around it. */
function label(name: string): string {
  const letters = Array.from(name);
  const shown =
    letters.length <= LONGEST_LABEL ? name : `…${letters.slice(1 - LONGEST_LABEL).join('')}`;
  return `\u2068${shown}\u2069`;
}
