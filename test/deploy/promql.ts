import { parser } from '@prometheus-io/lezer-promql';

/** One `metric{label="value"}` of an expression. */
export interface Selector {
  readonly metric: string;
  readonly matchers: readonly {
    readonly label: string;
    readonly op: string;
    readonly value: string;
  }[];
}

/** What an expression refers to. */
export interface Expression {
  readonly selectors: readonly Selector[];
  /** Labels of `by`, `without`, `on` and the like. */
  readonly groupings: readonly string[];
}

/** Reads an expression of PromQL; throws where it is none. */
export function parseExpression(text: string): Expression {
  const selectors: Selector[] = [];
  const groupings: string[] = [];
  parser.parse(text).iterate({
    enter({ node, name, type, from, to }) {
      if (type.isError) throw new Error(`no PromQL at ${from}, '${text.slice(from)}': ${text}`);
      if (name === 'VectorSelector') selectors.push(selectorIn(text.slice(from, to)));
      const groups = name === 'LabelName' && node.parent?.name === 'GroupingLabels';
      if (groups) groupings.push(text.slice(from, to));
    },
  });
  return { selectors, groupings };
}

/** The parser has found that it is one; quotes in values are not expected. */
function selectorIn(text: string): Selector {
  const [metric = ''] = text.split('{', 1);
  const matchers = text.matchAll(/(\w+)\s*([=!~]{1,2})\s*"([^"]*)"/g);
  return {
    metric: metric.trim(),
    matchers: [...matchers].map(([, label = '', op = '', value = '']) => ({ label, op, value })),
  };
}
