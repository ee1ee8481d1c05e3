// Executes the commands of a page line by line, on a copy of the files that they change.
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { INFERWIRE } from '../fixtures/inferwire.ts'
import { blocksOf, ROOT } from '../fixtures/page-blocks.ts'
import { shell, type CommandResult } from '../fixtures/processes.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

/** A command line of a page. */
export interface PageCommand {
  readonly line: string
  /** The text that is typed at the command's prompts. */
  readonly input: string
  /** The output that the page shows, if any. */
  readonly output: string | undefined
}

const COMMAND_TIMEOUT_MS = 300_000
// A prediction fails until Traefik has loaded a new route, which takes up to two seconds.
const PREDICTION = /^(?:mosquitto_rr|npx inferwire infer)\b/
const TRIES_MAX = 10
const PAUSE_MS = 1_000

/**
 * Returns the commands of blocks marked `cluster` or `cluster, asked: WORDS`. The WORDS are the input of the
 * `mosquitto_passwd` lines, two words for each line. A block marked `cluster, file: NAME` is the content of a file.
 */
export function commandsOf(page: string): PageCommand[] {
  return blocksOf(page)
    .filter(({ mark }) => /^cluster\b/.test(mark))
    .flatMap(({ mark, text, output }) => {
      const file = /file: (.*)/.exec(mark)?.[1]
      if (file !== undefined) return [{ line: `cat > ${file}`, input: text, output: undefined }]
      const words = /asked: (.*)/.exec(mark)?.[1]?.split(' ') ?? []
      const lines = text.trim().split('\n')
      return lines.map((line, index) => ({
        line,
        input: line.startsWith('mosquitto_passwd') ? `${words.splice(0, 2).join('\n')}\n` : '',
        output: index === lines.length - 1 ? output?.trim() : undefined,
      }))
    })
}

/** Executes lines in one folder. Variables persist between lines. */
export class PageReader {
  readonly folder = tempFolder('guide')
  readonly #env: Readonly<Record<string, string>>
  // Each line runs in a new shell, so the assignments in earlier lines are repeated.
  readonly #assignments: string[] = []

  constructor(env: Readonly<Record<string, string>>) {
    this.#env = env
    cpSync(join(ROOT, 'resources'), join(this.folder, 'resources'), { recursive: true })
  }

  /** Runs a line. `npx inferwire` is replaced by this checkout's command, because npx starts more slowly. */
  async type(line: string, input = ''): Promise<CommandResult> {
    if (/^[A-Z]+=/.test(line)) this.#assignments.push(line)
    const own = line.replaceAll(/\bnpx inferwire /g, `'${process.execPath}' '${INFERWIRE}' `)
    for (let tries = PREDICTION.test(line) ? TRIES_MAX : 1; ; tries--) {
      const ended = await shell([...this.#assignments, own].join('\n'), {
        cwd: this.folder,
        env: this.#env,
        input,
        timeoutMs: COMMAND_TIMEOUT_MS,
      })
      if (ended.code === 0 || tries === 1) return ended
      await delay(PAUSE_MS)
    }
  }
}
