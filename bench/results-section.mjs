// Sections of RESULTS.md that one command writes and the others leave alone, between two comments.
import { existsSync, readFileSync } from 'node:fs'

const SECTION = /<!-- section (\S+) -->\n[\s\S]*?<!-- end of \1 -->\n/g

/** The page in the file with this section in it: in place of the one before, or at the end. */
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

/** A new page with the sections of the one in the file. */
export function keepSections(file, page) {
  const sections = existsSync(file) ? (readFileSync(file, 'utf8').match(SECTION) ?? []) : []
  return [page, ...sections].join('\n')
}
