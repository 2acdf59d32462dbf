import { describe, expect, it } from 'vitest';
import { html, trusted } from '../../src/page/html.ts';

describe('a template', () => {
  it('takes every value for text, in content and in attributes', () => {
    const hostile = `<img src=x onerror=alert(1)> & "double" 'single' \`tick\``;
    expect(html`<p title="${hostile}">${hostile}</p>`.toString()).toBe(
      `<p title="&#60;img src=x onerror=alert(1)&#62; &#38; &#34;double&#34; &#39;single&#39; &#96;tick&#96;">` +
        '&#60;img src=x onerror=alert(1)&#62; &#38; &#34;double&#34; &#39;single&#39; &#96;tick&#96;</p>',
    );
  });

  it('keeps markup that was made by a template, alone or in lists', () => {
    const items = ['<1>', '<2>'].map((text) => html`<i>${text}</i>`);
    expect(html`<b>${items}</b>`.toString()).toBe('<b><i>&#60;1&#62;</i><i>&#60;2&#62;</i></b>');
    expect(html`${trusted('<br>')}`.toString()).toBe('<br>');
  });

  it('shows nothing for what is not there, and numbers as they are', () => {
    expect(html`[${null}${undefined}${false}${0}${12n}]`.toString()).toBe('[012]');
  });

  it('replaces what no document may hold', () => {
    expect(html`${'a\0b\u001Bc\u0085d\uD800e\tf\ng'}`.toString()).toBe(
      'a\uFFFDb\uFFFDc\uFFFDd\uFFFDe\tf\ng',
    );
  });
});
