import type { PodStatus } from './shown.ts';

const REASONS_SHOWN = 3;

/** Why the API server's answers leave pods unjudged, a note for each reason; none where all were judged. */
export function whyNotJudged(pods: readonly PodStatus[]): readonly string[] {
  const unjudged = pods.filter(
    ({ decision, reason }) => decision === null || reason === 'Unverifiable',
  );
  const byMessage = Map.groupBy(unjudged, ({ message }) => message);
  const notes = Array.from(
    byMessage,
    ([message, same]) => `${same.map(({ pod }) => pod).join(', ')}: ${message}`,
  );
  const more = notes.length - REASONS_SHOWN;
  if (more <= 0) return notes;
  return [...notes.slice(0, REASONS_SHOWN), `And ${more} more like that: see -o json.`];
}
