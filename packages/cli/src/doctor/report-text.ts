// Prints the results as text, in the style of `linkerd check`.
import type { Check, CheckResult, Finding } from './check.ts'
import type { Progress } from './run-checks.ts'
import { printableLines } from '../table.ts'

/** The marks in front of the lines. */
interface Marks {
  readonly ok: string
  readonly warning: string
  readonly fault: string
  readonly skipped: string
}

const SYMBOLS: Marks = { ok: '√', warning: '‼', fault: '×', skipped: '-' }
const ASCII: Marks = { ok: 'ok', warning: 'warning', fault: 'FAULT', skipped: 'skipped' }

/** Where the text goes. */
export interface TextOutput {
  readonly isTerminal: boolean
  readonly isUtf8: boolean
  write(text: string): void
}

/** Whether the locale's encoding is UTF-8 (POSIX: LC_ALL overrides LC_CTYPE, which overrides LANG). */
export function isUtf8Locale(env: NodeJS.ProcessEnv): boolean {
  const locale = env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'] || ''
  return /utf-?8/i.test(locale)
}

/** Prints each result as soon as it is known; on a terminal, also the check that runs. */
export class TextReport implements Progress {
  readonly #output: TextOutput
  readonly #marks: Marks
  #group = ''
  // Checks that were skipped for the same reason share a line, which is printed when another result follows.
  #skipped: CheckResult[] = []

  constructor(output: TextOutput) {
    this.#output = output
    this.#marks = output.isTerminal && output.isUtf8 ? SYMBOLS : ASCII
  }

  started({ id, title }: Check): void {
    this.#heading(id)
    if (this.#output.isTerminal) this.#output.write(`  ${id}: ${title} ...`)
  }

  finished(result: CheckResult): void {
    if (this.#output.isTerminal) this.#output.write('\r\u001b[K')
    if (result.state === 'skipped') {
      if (result.reason !== this.#skipped[0]?.reason) this.#flush()
      this.#skipped.push(result)
      return
    }
    this.#flush()
    this.#output.write(
      linesOf(result, this.#marks)
        .map((line) => `${line}\n`)
        .join(''),
    )
  }

  /** Prints the last line. */
  ended(results: readonly CheckResult[]): void {
    this.#flush()
    this.#output.write(`\n${summaryOf(results)}\n`)
  }

  #flush(): void {
    const [first] = this.#skipped
    if (first === undefined) return
    const ids = this.#skipped.map(({ id }) => id).join(', ')
    this.#skipped = []
    const reason = printableLines(first.reason ?? '')
    this.#output.write(`  ${this.#marks.skipped} ${ids}: not checked, because ${reason}\n`)
  }

  #heading(id: string): void {
    const group = id.split('.')[0]!
    if (group === this.#group) return
    this.#flush()
    this.#output.write(`${this.#group === '' ? '' : '\n'}${group}\n`)
    this.#group = group
  }
}

function linesOf({ id, findings }: CheckResult, marks: Marks): string[] {
  return findings.flatMap((finding) => findingLines(id, finding, marks))
}

function findingLines(id: string, { state, message, remedy }: Finding, marks: Marks): string[] {
  const lines = [`  ${marks[state]} ${id}: ${printableLines(message)}`]
  if (remedy === undefined || state === 'ok') return lines
  return [
    ...lines,
    ...printableLines(remedy)
      .split('\n')
      .map((line) => `      ${line}`),
  ]
}

/** Returns one sentence with the numbers of results. */
function summaryOf(results: readonly CheckResult[]): string {
  const count = (state: CheckResult['state']): number =>
    results.filter((result) => result.state === state).length
  const faults = count('fault')
  const parts = [
    `${count('ok')} passed`,
    ...(count('warning') > 0 ? [`${count('warning')} with warnings`] : []),
    ...(faults > 0 ? [`${faults} failed`] : []),
    ...(count('skipped') > 0 ? [`${count('skipped')} not checked`] : []),
  ]
  return `${faults === 0 ? 'No faults were found' : 'Faults were found'}: ${parts.join(', ')}.`
}
