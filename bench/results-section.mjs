// Edits the sections of RESULTS.md. Each section is between two comments, is written by one command, and is kept by all
// other commands.
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

/** Returns the new page with the sections of the existing page. */
export function keepSections(file, page) {
  const sections = existsSync(file) ? (readFileSync(file, 'utf8').match(SECTION) ?? []) : []
  return [page, ...sections].join('\n')
}
