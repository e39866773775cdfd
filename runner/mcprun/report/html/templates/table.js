// A table with search, filters, sorting and pages. It does not depend on what its rows are.

const PAGE = 100;
/** Maximum number of rows in print, of those that match the filters. */
const PRINTED = 2000;
const TYPING_MS = 150;

/** Parts of the address that belong to the table; those of `choosers` are added. */
const TABLE_PARTS = ['f', 's', 'sort', 'page', 'all'];

/**
 * `rows` are objects with a `key` and a `link`; `columns` have `name`, `cell` (row → children) and may have `sort` (row →
 * value) and `kind` (a class). `chips` have `name`, `kind` and `test` (row → boolean), and `key` in the address if that is
 * not the name; those of one `group` are alternatives. Each of `choosers` has a `key`, a `label` and `choices`, which have
 * `name` and `test`, and `value` in the address if that is not the name. `searchText` returns the text that a search
 * covers. `isFolded` (row → boolean) selects rows that are listed only if they are asked for, and `foldedText` (rows →
 * text) describes them.
 */
class Table {
  constructor(root, { rows, columns, chips, choosers = [], searchText, noun, isFolded = null, foldedText = null }) {
    Object.assign(this, { rows, columns, noun, searchText, foldedText });
    this.foldable = isFolded ? rows.filter(isFolded) : [];
    this.folded = new Set(this.foldable);
    this.chips = chips.map((chip) => ({ key: chip.name, ...chip, count: rows.filter(chip.test).length }))
      .filter(({ count }) => count);
    this.choosers = choosers.filter(({ choices }) => choices.length);
    this.shown = rows;
    this.changed = () => {};
    this.search = el('input', {
      type: 'search', id: 'search', placeholder: 'Search (press /)', 'aria-label': 'Search queries and conversations',
      autocomplete: 'off', spellcheck: 'false', oninput: () => this.typed(),
    });
    this.status = el('p', { class: 'status', role: 'status' });
    this.body = el('tbody');
    this.heads = columns.map((column) => this.head(column));
    this.back = el('button', { type: 'button', onclick: () => this.turn(-1) }, '← Previous');
    this.on = el('button', { type: 'button', onclick: () => this.turn(1) }, 'Next →');
    this.pager = el('nav', { class: 'pager control', 'aria-label': 'Pages' }, this.back, this.on);
    this.table = el('table', { class: 'rows' }, el('thead', {}, el('tr', {}, this.heads)), this.body);
    this.unfold = el('button', { type: 'button', class: 'fold', onclick: () => this.set({ all: !this.state.all }) });
    root.append(
      el('div', { class: 'bar control', role: 'search' }, this.search, this.chipButtons(), this.selects()),
      this.status,
      this.table,
      this.unfold,
      this.pager,
    );
    addEventListener('beforeprint', () => this.draw(0, PRINTED));
    addEventListener('afterprint', () => this.draw());
    this.read(new Map());
  }

  head(column) {
    const press = () => this.set({ sort: column, falling: this.state.sort !== column || !this.state.falling });
    const title = column.sort ? el('button', { type: 'button', onclick: press }, column.name) : column.name;
    return el('th', { scope: 'col', class: column.kind }, title);
  }

  chipButtons() {
    return el('div', { class: 'chips', role: 'group', 'aria-label': 'Show only' }, this.chips.map((chip) => {
      const press = () => {
        const pressed = new Set(this.state.pressed);
        pressed[pressed.has(chip) ? 'delete' : 'add'](chip);
        this.set({ pressed });
      };
      chip.button = el('button', { type: 'button', class: `chip ${chip.kind}`, onclick: press }, `${chip.name} ${grouped(chip.count)}`);
      return chip.button;
    }));
  }

  selects() {
    return this.choosers.map((chooser) => {
      const choose = ({ target }) => {
        const chosen = new Map(this.state.chosen);
        if (target.selectedIndex) chosen.set(chooser, chooser.choices[target.selectedIndex - 1]);
        else chosen.delete(chooser);
        this.set({ chosen });
      };
      chooser.select = el('select', { 'aria-label': chooser.label, onchange: choose },
        el('option', {}, chooser.label), chooser.choices.map(({ name }) => el('option', {}, name)));
      return chooser.select;
    });
  }

  typed() {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.set({ words: this.search.value }), TYPING_MS);
  }

  /** List the folded rows too, because one of them was opened. */
  expand() {
    Object.assign(this.state, { all: true });
    this.filter();
  }

  /** Change the state, show it, and notify the view, which keeps it in the address. */
  set(changes) {
    clearTimeout(this.typing);
    Object.assign(this.state, { page: 0 }, changes);
    this.filter();
    this.changed();
  }

  /** Show the state that an address describes, and return what it names that the table does not have. */
  read(parts) {
    const unknown = [];
    const pressed = new Set();
    for (const key of (parts.get('f') || '').split(',').filter(Boolean)) {
      const chip = this.chips.find((one) => one.key === key);
      if (chip) pressed.add(chip);
      else unknown.push(`filter “${key}”`);
    }
    const chosen = new Map();
    for (const chooser of this.choosers.filter(({ key }) => parts.has(key))) {
      const choice = chooser.choices.find(({ name, value = name }) => value === parts.get(chooser.key));
      if (choice) chosen.set(chooser, choice);
      else unknown.push(`${chooser.noun || chooser.key} “${parts.get(chooser.key)}”`);
    }
    const order = parts.get('sort') || '';
    const sort = this.columns.find(({ name, sort: by }) => by && keyOf(name) === order.replace(/^-/, '')) || null;
    if (order && !sort) unknown.push(`column “${order.replace(/^-/, '')}”`);
    const page = Math.max(0, (parseInt(parts.get('page'), 10) || 1) - 1);
    this.state = {
      pressed, chosen, sort, falling: order.startsWith('-'), words: parts.get('s') || '', page, all: parts.get('all') === '1',
    };
    this.filter();
    return unknown;
  }

  /** Return the state as parts of an address, in the order in which they are shown there. */
  parts() {
    const { pressed, chosen, sort, falling, words, page, all } = this.state;
    return [
      ['f', [...pressed].map(({ key }) => key).join()],
      ...[...chosen].map(([{ key }, { name, value = name }]) => [key, value]),
      ['s', words.trim()],
      ['sort', sort && `${falling ? '-' : ''}${keyOf(sort.name)}`],
      ['all', all ? '1' : ''],
      ['page', page ? page + 1 : ''],
    ];
  }

  /** Whether an address differs from this state. */
  differs(parts) {
    const names = [...TABLE_PARTS, ...this.choosers.map(({ key }) => key)];
    const mine = new Map(this.parts().map(([name, value]) => [name, String(value || '')]));
    return names.some((name) => (parts.get(name) || '') !== (mine.get(name) || ''));
  }

  linkTo(row) {
    return addressOf([...this.parts(), ['q', row.key]]);
  }

  filter() {
    const { pressed: chips, chosen, words: text, sort, falling, all } = this.state;
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const pressed = [...chips];
    const groups = [...new Set(pressed.map((chip) => chip.group))];
    const isFiltered = Boolean(words.length || pressed.length || chosen.size);
    this.hidesFolded = this.folded.size > 0 && !isFiltered && !all;
    this.shown = this.rows.filter((row) =>
      !(this.hidesFolded && this.folded.has(row))
      && groups.every((group) => pressed.some((chip) => chip.group === group && chip.test(row)))
      && [...chosen.values()].every((choice) => choice.test(row, chosen))
      && (!words.length || words.every((word) => this.searchText(row).includes(word))));
    if (sort) this.shown.sort(order(sort.sort, falling));
    this.unfold.hidden = !this.folded.size || isFiltered;
    this.showState();
    this.draw();
  }

  /** Show the state in the controls. The search field is left alone while it says the same. */
  showState() {
    const { pressed, chosen, sort, falling, words } = this.state;
    for (const chip of this.chips) chip.button.setAttribute('aria-pressed', pressed.has(chip));
    for (const chooser of this.choosers) chooser.select.selectedIndex = chooser.choices.indexOf(chosen.get(chooser)) + 1;
    this.columns.forEach((column, at) => {
      if (column === sort) this.heads[at].setAttribute('aria-sort', falling ? 'descending' : 'ascending');
      else this.heads[at].removeAttribute('aria-sort');
    });
    if (this.search.value.trim() !== words.trim()) this.search.value = words;
  }

  turn(by) {
    this.set({ page: this.state.page + by });
    this.status.scrollIntoView({ block: 'nearest' });
  }

  draw(from = null, size = PAGE) {
    const all = this.shown.length;
    this.state.page = Math.min(this.state.page, Math.max(0, Math.ceil(all / PAGE) - 1));
    from ??= this.state.page * PAGE;
    const rows = this.shown.slice(from, from + size);
    const filtered = all < this.rows.length && !this.hidesFolded ? ` (filtered from ${grouped(this.rows.length)})` : '';
    const which = all > rows.length ? `${grouped(from + 1)} to ${grouped(from + rows.length)} of ` : '';
    const none = this.hidesFolded ? '' : `No matching ${plural(this.noun)}`;
    this.status.textContent = all ? `${which}${many(all, this.noun)}${filtered}` : none;
    this.body.replaceChildren(...rows.map((row) => this.row(row)));
    this.table.hidden = !all;
    if (this.foldedText) {
      this.unfold.replaceChildren(this.foldedText(this.foldable), el('span', { class: 'control' }, `: ${this.hidesFolded ? 'show' : 'hide'}`));
      this.unfold.setAttribute('aria-expanded', !this.hidesFolded);
    }
    this.pager.hidden = all <= PAGE;
    this.back.disabled = from === 0;
    this.on.disabled = from + size >= all;
  }

  row(row) {
    row.link = this.linkTo(row);
    const open = (event) => {
      if (!event.target.closest('a') && !String(getSelection())) location.hash = row.link;
    };
    return el('tr', { onclick: open }, this.columns.map(({ cell, kind }) => el('td', { class: kind }, cell(row))));
  }

  /** Show the page of a row, and focus the row; return false if it is filtered out. */
  focus(row) {
    const at = this.shown.indexOf(row);
    if (at < 0) return false;
    if (Math.floor(at / PAGE) !== this.state.page) this.set({ page: Math.floor(at / PAGE) });
    this.body.rows[at % PAGE].querySelector('a').focus();
    return true;
  }

  /** Return the row at an offset from a row, if there is one; without a row, the first of this page. */
  beside(row, by) {
    const at = this.shown.indexOf(row);
    return this.shown[at < 0 ? this.state.page * PAGE : at + by] || null;
  }

  /** Return the focused row, if any. */
  focused() {
    const row = document.activeElement && document.activeElement.closest('table.rows tbody tr');
    return row ? this.shown[this.state.page * PAGE + row.sectionRowIndex] : null;
  }
}

/** Return the name of a column in the address: `tool-calls`. */
const keyOf = (name) => name.toLowerCase().replaceAll(' ', '-');

/** Return a comparison of rows by a value; unknown values sort last. */
const order = (value, falling) => (one, other) => {
  const [a, b] = [value(one), value(other)];
  if (a === b) return 0;
  if (a === null || b === null) return a === null ? 1 : -1;
  return (a < b) === falling ? 1 : -1;
};
