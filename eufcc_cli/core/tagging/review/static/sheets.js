// What stands together on a contact sheet, and the number that each picture is reached by.

const LARGE = 0.5; // a term that fills this share of a view has a sheet of its own

/**
 * Cuts a list of terms into sheets: lists of terms, in the list's order. Terms of few images share one, as
 * many of one facet as fit into a view; never a term and a broader one, since one decides the other.
 * terms: [{ facet, path, left }]; room: the images that a view holds.
 */
export function sheetsOf(terms, room) {
  const placed = new Set();
  const sheets = [];
  for (const term of terms) {
    if (placed.has(term)) continue;
    const sheet = [term];
    let size = term.left;
    if (isSmall(term, room)) {
      for (const other of terms) {
        if (other === term || placed.has(other) || other.facet !== term.facet || !isSmall(other, room)) continue;
        if (size + other.left > room || sheet.some((one) => areRelated(one, other))) continue;
        sheet.push(other);
        size += other.left;
      }
    }
    for (const one of sheet) placed.add(one);
    sheets.push(sheet);
  }
  return sheets;
}

function isSmall(term, room) {
  return term.left > 0 && term.left <= LARGE * room;
}

function areRelated(one, other) {
  return one.path.includes(other.path.at(-1)) || other.path.includes(one.path.at(-1));
}

/**
 * The number of each of `count` pictures, the most doubtful first: one digit for a few, two for the next.
 * No number begins with another one, so that nobody has to wait. The last of many have none.
 */
export function numbersFor(count) {
  let single = 10;
  while (single > 4 && single + 10 * (10 - single) < count) single -= 1;
  const digits = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "0"];
  const rest = digits.slice(single);
  const numbers = digits.slice(0, single);
  for (const first of rest) for (const second of digits) numbers.push(first + second);
  return numbers.slice(0, count);
}
