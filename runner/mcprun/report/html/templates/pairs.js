// Two values side by side, line by line, with differences marked.

const SIDES = ['BASE', 'HEAD'];

/** Lay out the lines of one side. Differences are marked by colour and by a sign. */
const lines = (all, side) =>
  el('pre', { class: 'lines' }, all.map(([text, differs]) =>
    el('span', { class: differs ? `line marked ${side ? 'after' : 'before'}` : 'line' },
      el('span', { class: 'sign' }, differs ? (side ? '+' : '-') : ' '), `${text}\n`)));

/** Lay out two lists of lines side by side, with a note on a side that has none. */
const both = (pair, absent = '(none)', names = SIDES) =>
  el('div', { class: 'sides' }, pair.map((all, side) =>
    el('div', { class: 'side' }, el('span', { class: 'label' }, names[side]),
      all.length ? lines(all, side) : el('p', { class: 'note' }, absent))));

