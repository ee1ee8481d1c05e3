// Edits the sections of RESULTS.md. Each section stands between two comments and is written by one command; all other
// commands leave it unchanged.
import { existsSync, readFileSync } from 'node:fs'

const SECTION = /<!-- section (\S+) -->\n[\s\S]*?<!-- end of \1 -->\n/g

/** Returns the page with this section replaced or appended. */
export function replaceSection(file, name, text) {
  const page = existsSync(file) ? readFileSync(file, 'utf8') : '# Results\n'
  const section = `<!-- section ${name} -->\n\n${text.trim()}\n\n<!-- end of ${name} -->\n`
  let isReplaced = false
  const replaced = page.replaceAll(SECTION, (old, oldName) => {
    if (oldName !== name) return old
    isReplaced = true
    return section
  })
  return isReplaced ? replaced : `${page.trimEnd()}\n\n${section}`
}

/** Returns the new page, followed by the existing page's sections. */
export function keepSections(file, page) {
  const sections = existsSync(file) ? (readFileSync(file, 'utf8').match(SECTION) ?? []) : []
  return [page, ...sections].join('\n')
}
