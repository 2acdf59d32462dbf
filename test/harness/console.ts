/** A command of a page, and what it prints there, on stdout or stderr. */
export interface ConsoleStep {
  readonly command: string;
  readonly output: string;
}

/** Every `$ command` with its output in the `console` blocks of a Markdown page, in order. */
export function consoleSteps(markdown: string): readonly ConsoleStep[] {
  return blocksOf(markdown, 'console').flatMap((block) =>
    block
      .split(/^\$ /m)
      .slice(1)
      .map((step) => {
        const [command = '', ...output] = step.trimEnd().split('\n');
        return { command, output: output.join('\n') };
      }),
  );
}

/** The contents of all fenced blocks of this language. */
export function blocksOf(markdown: string, language: string): readonly string[] {
  const fenced = new RegExp(String.raw`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'gms');
  return [...markdown.matchAll(fenced)].map(([, text]) => text ?? '');
}
