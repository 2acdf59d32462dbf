import { styleText } from 'node:util';

/** Something did not come out as the demo announced it. */
export class NotAsAnnounced extends Error {}

/** Checks what is about to be said. */
export function check(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new NotAsAnnounced(otherwise);
}

let chapters = 0;
let silent = false;

/** The story may go on for a moment while everything is being cleared away. */
export function silence(): void {
  silent = true;
}

/** The next chapter: what it is going to show. */
export function chapter(title: string): void {
  chapters += 1;
  write(`\n${style('bold', `${chapters}. ${title}`)}\n`);
}

/** What is being done, in the words in which it is done. */
export function command(text: string): void {
  write(`${style('cyan', `$ ${text}`)}\n`);
}

/** What is being sent, where no program does it. */
export function request(text: string): void {
  write(`${style('cyan', `> ${text}`)}\n`);
}

/** What a program said, as it said it. */
export function output(line: string): void {
  write(`${line}\n`);
}

/** What was found when the outcome was checked; like a comment in a shell. */
export function remark(text: string): void {
  write(`${style('green', `# ${text}`)}\n`);
}

export function plain(text: string): void {
  write(`${text}\n`);
}

type Style = 'bold' | 'cyan' | 'green';

/** Plain where stdout is no terminal, and with NO_COLOR. */
function style(format: Style, text: string): string {
  return styleText(format, text, { stream: process.stdout });
}

function write(text: string): void {
  if (!silent) process.stdout.write(text);
}
