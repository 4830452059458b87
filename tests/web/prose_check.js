/* Run in the page: texts that arrive bit by bit must end as those that come whole. */
async (rounds) => {
  const { Prose } = await import(`${location.origin}/static/prose.js`);
  const pieces = ["word ", "two\nlines", "\n\n", "\n", "- item\n", "  - inner\n", "1. one\n", "3) three\n", "> said\n", "# Head\n",
    "```js\nlet x = 1;\n", "```\n", "    indented\n", "| a | b |\n|---|---|\n| 1 | 2 |\n", "| 3 | 4 |\n", "**b", "old**", "`code`", "---\n", "===\n",
    "<div>\n", "</div>", "[a](http://b.invalid)", "[ref]", "* star\n", "+ plus\n", "\r\n", "\ttab", "- [ ] todo\n", "~~gone~~", "\\*", "&amp;", "  \n"];
  let seed = 11;
  const random = (below) => (seed = (seed * 48271) % 2147483647) % below;
  const plain = (prose) => prose.element.innerHTML.replace(/<div class="chunk[^"]*">|<\/div>| class="continued"/g, "");
  const different = [];
  for (let round = 0; round < rounds; round += 1) {
    const text = Array.from({ length: 1 + random(40) }, () => pieces[random(pieces.length)]).join("");
    const [grown, whole] = [new Prose(), new Prose()];
    for (let end = 1 + random(4); end < text.length; end += 1 + random(9)) {
      while (!grown.show(text.slice(0, end), false)) await new Promise((resolve) => setTimeout(resolve));
    }
    grown.show(text, true);
    whole.show(text, true);
    if (plain(grown) !== plain(whole)) different.push([text, plain(grown), plain(whole)]);
  }
  return different;
}
