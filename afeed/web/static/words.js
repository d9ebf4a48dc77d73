// Every text that scripts put on a page, in the page's language: the server writes them into it (words.py).

const language = document.documentElement.lang || "en";
const found = JSON.parse(document.querySelector('meta[name="words"]').content);
const plural = new Intl.PluralRules(language);
const number = new Intl.NumberFormat(language);

/** A text with a number in it; what counts has a form for each plural. */
function counted(forms) {
  return (count) => {
    const form = typeof forms === "string" ? forms : (forms[plural.select(count)] ?? forms.other);
    return form.replace("{count}", number.format(count));
  };
}

/** The sentence `name` with `values` in its gaps. */
export function sentence(name, values) {
  return found[name].replace(/\{(\w+)\}/g, (gap, key) => values[key] ?? gap);
}

export const words = {
  ...found,
  news: counted(found.news),
  minutes: counted(found.minutes),
  hours: counted(found.hours),
};
