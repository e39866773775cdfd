// A table with search, filters, sorting and pages. It does not depend on what its rows are.

const PAGE = 100;
/** Maximum number of rows in print, of those that match the filters. */
const PRINTED = 2000;
const TYPING_MS = 150;

/**
 * `rows` are objects with a `link`; `columns` have `name`, `cell` (row → children) and may have `sort` (row → value)
 * and `kind` (a class). `chips` have `name`, `kind` and `test` (row → boolean), those of one `group` are alternatives.
 * `choices` have `name` and `test`, under the label `choose`. `searchText` returns the text that a search covers.
 */
class Table {
  constructor(root, { rows, columns, chips, choices = [], choose = '', searchText, noun }) {
    Object.assign(this, { rows, columns, noun, searchText });
    this.shown = rows;
    this.page = 0;
    this.order = null;
    this.pressed = new Set();
    this.choice = null;
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
    root.append(
      el('div', { class: 'bar control', role: 'search' }, this.search, this.chips(chips), this.chooser(choices, choose)),
      this.status,
      el('table', { class: 'rows' }, el('thead', {}, el('tr', {}, this.heads)), this.body),
      this.pager,
    );
    addEventListener('beforeprint', () => this.draw(0, PRINTED));
    addEventListener('afterprint', () => this.draw());
    this.filter();
  }

  head({ name, sort, kind }) {
    const title = sort ? el('button', { type: 'button', onclick: () => this.sort(sort, head) }, name) : name;
    const head = el('th', { scope: 'col', class: kind }, title);
    return head;
  }

  chips(chips) {
    return el('div', { class: 'chips', role: 'group', 'aria-label': 'Show only' }, chips.map((chip) => {
      const count = this.rows.filter(chip.test).length;
      const press = () => {
        this.pressed[this.pressed.has(chip) ? 'delete' : 'add'](chip);
        button.setAttribute('aria-pressed', this.pressed.has(chip));
        this.filter();
      };
      const button = el('button', { type: 'button', class: `chip ${chip.kind}`, 'aria-pressed': 'false', onclick: press },
        `${chip.name} ${grouped(count)}`);
      return count ? button : null;
    }));
  }

  chooser(choices, label) {
    if (choices.length < 2) return null;
    const choose = (event) => {
      this.choice = choices[event.target.selectedIndex - 1] || null;
      this.filter();
    };
    return el('select', { 'aria-label': label, onchange: choose },
      el('option', {}, label), choices.map((choice) => el('option', {}, choice.name)));
  }

  typed() {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.filter(), TYPING_MS);
  }

  sort(value, head) {
    const falling = head.getAttribute('aria-sort') !== 'descending';
    for (const one of this.heads) one.removeAttribute('aria-sort');
    head.setAttribute('aria-sort', falling ? 'descending' : 'ascending');
    this.order = (one, other) => {
      const [a, b] = [value(one), value(other)];
      if (a === b) return 0;
      if (a === null || b === null) return a === null ? 1 : -1; // unknown values sort last
      return (a < b) === falling ? 1 : -1;
    };
    this.filter();
  }

  filter() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const pressed = [...this.pressed];
    const groups = [...new Set(pressed.map((chip) => chip.group))];
    this.shown = this.rows.filter((row) =>
      groups.every((group) => pressed.some((chip) => chip.group === group && chip.test(row)))
      && (!this.choice || this.choice.test(row))
      && (!words.length || words.every((word) => this.searchText(row).includes(word))));
    if (this.order) this.shown.sort(this.order);
    this.page = 0;
    this.draw();
  }

  turn(by) {
    const last = Math.max(0, Math.ceil(this.shown.length / PAGE) - 1);
    this.page = Math.min(last, Math.max(0, this.page + by));
    this.draw();
    this.status.scrollIntoView({ block: 'nearest' });
  }

  draw(from = this.page * PAGE, size = PAGE) {
    const rows = this.shown.slice(from, from + size);
    const all = this.shown.length;
    const filtered = all < this.rows.length ? ` (filtered from ${grouped(this.rows.length)})` : '';
    const which = all > rows.length ? `${grouped(from + 1)} to ${grouped(from + rows.length)} of ` : '';
    this.status.textContent = all ? `${which}${many(all, this.noun)}${filtered}` : `No ${this.noun} matches.`;
    this.body.replaceChildren(...rows.map((row) => this.row(row)));
    this.pager.hidden = all <= PAGE;
    this.back.disabled = from === 0;
    this.on.disabled = from + size >= all;
  }

  row(row) {
    const open = (event) => {
      if (!event.target.closest('a') && !String(getSelection())) location.hash = row.link;
    };
    return el('tr', { onclick: open }, this.columns.map(({ cell, kind }) => el('td', { class: kind }, cell(row))));
  }

  /** Show the page of a row, and focus the row; return false if it is filtered out. */
  focus(row) {
    const at = this.shown.indexOf(row);
    if (at < 0) return false;
    if (Math.floor(at / PAGE) !== this.page) {
      this.page = Math.floor(at / PAGE);
      this.draw();
    }
    this.body.rows[at % PAGE].querySelector('a').focus();
    return true;
  }

  /** Return the row at an offset from a row, if there is one; without a row, the first of this page. */
  beside(row, by) {
    const at = this.shown.indexOf(row);
    return this.shown[at < 0 ? this.page * PAGE : at + by] || null;
  }

  /** Return the focused row, if any. */
  focused() {
    const row = document.activeElement && document.activeElement.closest('table.rows tbody tr');
    return row ? this.shown[this.page * PAGE + row.sectionRowIndex] : null;
  }
}
