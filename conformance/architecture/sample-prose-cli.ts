// `npm run words:sample -- [SEED]`: prints a random sample of comments, messages, test names and pages, for a review of
// the English.
import { Random } from '../fixtures/random.ts'
import { proseFiles } from './prose-files.ts'
import { kindsOf, sample, type Piece } from './sample-prose.ts'

const random = new Random(Number(process.argv[2] ?? 1), 8)
const files = proseFiles()
const kinds = files.filter(({ path }) => /\.[cm]?[jt]s$/.test(path)).map(kindsOf)
const sections: [string, readonly Piece[]][] = [
  [
    'Comments',
    sample(
      kinds.flatMap(({ comments }) => comments),
      100,
      random,
    ),
  ],
  [
    'Log lines, errors, output',
    sample(
      kinds.flatMap(({ messages }) => messages),
      40,
      random,
    ),
  ],
  [
    'Test names',
    sample(
      kinds.flatMap(({ testNames }) => testNames),
      40,
      random,
    ),
  ],
]
for (const [title, pieces] of sections) {
  process.stdout.write(`\n## ${title}\n\n`)
  for (const [index, { path, line, text, code }] of pieces.entries()) {
    process.stdout.write(`${index + 1}. ${path}:${line}\n${text.replace(/^/gm, '   ')}\n`)
    if (code !== undefined) process.stdout.write(`   | ${code}\n`)
  }
}
const pages = files.map(({ path }) => path).filter((path) => path.endsWith('.md'))
process.stdout.write(`\n## Pages\n\n${sample(pages, 5, random).join('\n')}\n`)
