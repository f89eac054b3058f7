// What stands together on a contact sheet, and the label that each picture is reached by.

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

const DIGITS = [..."1234567890"];
const LETTERS = [..."bcghimnopxy"]; // no other key of the page, nor beside A and R on a keyboard

/** The keys that a label is made of. */
export const LABEL_KEYS = new Set([...DIGITS, ...LETTERS]);

/**
 * The label of each of `count` pictures, the most doubtful first: one key for some, a letter and a digit
 * for the next. No label begins another one, so that nobody has to wait. The last of many have none.
 */
export function labelsFor(count) {
  let letters = LETTERS.length; // that are labels alone
  while (letters > 0 && DIGITS.length * (1 + LETTERS.length - letters) + letters < count) letters -= 1;
  const labels = [...DIGITS, ...LETTERS.slice(0, letters)];
  for (const letter of LETTERS.slice(letters)) for (const digit of DIGITS) labels.push(letter + digit);
  return labels.slice(0, count);
}
