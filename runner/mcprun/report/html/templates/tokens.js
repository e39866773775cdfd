// What the tokens of a query were spent on, as a stacked bar.

const SHARES = ['definitions', 'system', 'messages', 'results', 'output', 'sampling'];

/** Draw the tokens of a query, in the order of `SHARES`, if the API reported any. */
const tokensPanel = (spent) => {
  const total = (spent || []).reduce((sum, count) => sum + count, 0);
  if (!total) return null;
  const shown = spent.map((count, at) => [SHARES[at], count]).filter(([, count]) => count);
  let x = 0;
  const bars = shown.map(([name, count]) => {
    const width = (WIDTH * count) / total;
    const bar = svg('rect', { class: `share-${name}`, x: x.toFixed(2), y: 0, width: width.toFixed(2), height: 10 });
    x += width;
    return bar;
  });
  const texts = shown.map(([name, count]) => `${name} ${grouped(count)}`);
  return el('section', {}, el('h2', {}, 'Tokens'),
    svg('svg', { class: 'stacked', viewBox: `0 0 ${WIDTH} 10`, preserveAspectRatio: 'none', role: 'img', 'aria-label': texts.join(', ') }, ...bars),
    el('p', { class: 'legend' }, shown.map(([name], at) => el('span', { class: `key share-${name}` }, texts[at]))),
    el('p', { class: 'note' }, 'Estimated: input is apportioned by the bytes of what was sent.'));
};
