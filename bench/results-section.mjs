// Edits the sections of RESULTS.md. A section stands between two comments. A command replaces its own section and nothing
// else, so a command's section must not contain hand-written text.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { RESULTS, ROOT } from './paths.mjs'
import { describeMachine } from './prepare.mjs'

const SECTION = /<!-- section (\S+) -->\n[\s\S]*?<!-- end of \1 -->\n/g

/**
 * Prints a section and, if `isWriting`, writes it to RESULTS.md.
 * @param {{ name: string, title: string, command: string, about?: string, begun: Date, checkout?: string,
 *   withNginx?: boolean, settings?: string[], isWriting: boolean }} section `about` follows the first sentence; the
 *   version of nginx is shown if `withNginx`; `settings` are further lines of the list
 * @param {string[]} paragraphs the tables and notes
 */
export function publishSection(section, paragraphs) {
  const content = sectionText(section, paragraphs)
  process.stdout.write(`\n${content}\n`)
  if (!section.isWriting) return
  writeFileSync(RESULTS, replaceSection(RESULTS, section.name, content))
  process.stderr.write('\nwrote bench/RESULTS.md\n')
}

function sectionText(
  { title, command, about, begun, checkout = ROOT, withNginx = false, settings = [] },
  paragraphs,
) {
  const anchor = title.toLowerCase().replaceAll(' ', '-')
  const written = `Written by \`${command}\`; described in [README.md](README.md#${anchor}).`
  const list = [
    `Date: ${begun.toISOString().slice(0, 10)}; commit ${commitOf(checkout)}`,
    `Machine: ${describeMachine({ withNginx })}`,
    ...settings,
  ]
  return [
    `## ${title}`,
    about === undefined ? written : `${written} ${about}`,
    list.map((line) => `- ${line}`).join('\n'),
    ...paragraphs,
  ].join('\n\n')
}

// Returns the page with this section replaced or appended.
function replaceSection(file, name, content) {
  const page = existsSync(file) ? readFileSync(file, 'utf8') : '# Results\n'
  const section = `<!-- section ${name} -->\n\n${content.trim()}\n\n<!-- end of ${name} -->\n`
  let isReplaced = false
  const replaced = page.replaceAll(SECTION, (old, oldName) => {
    if (oldName !== name) return old
    isReplaced = true
    return section
  })
  return isReplaced ? replaced : `${page.trimEnd()}\n\n${section}`
}

function commitOf(checkout) {
  const git = (...args) =>
    spawnSync('git', ['-C', checkout, ...args], { encoding: 'utf8' }).stdout?.trim() ?? ''
  const commit = git('rev-parse', '--short', 'HEAD')
  if (commit === '') return 'unknown'
  return git('status', '--porcelain', '--', 'packages') === '' ? commit : `${commit} with changes`
}
