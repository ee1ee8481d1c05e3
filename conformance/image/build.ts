// Executes a Dockerfile's COPY, WORKDIR and RUN steps in order, in folders instead of layers.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Stage } from './dockerfile.ts'

/** The parameters of a build. */
export interface BuildOptions {
  /** The build context of `docker build`. */
  readonly context: string
  /** Contains one folder for each stage. */
  readonly folder: string
  /** The folder of the base image's Node.js; its `bin` is first in the PATH of RUN steps. */
  readonly programs: string
}

/**
 * Builds a stage; returns the folder for the stage's `/`. `skipsRun` skips RUN steps that change the base
 * image.
 * @throws Error with the output of a failed step
 */
export async function buildStage(stage: Stage, options: BuildOptions, skipsRun = false): Promise<string> {
  const root = join(options.folder, stage.name || 'image')
  let workdir = root
  for (const { name, text } of stage.instructions) {
    if (name === 'WORKDIR') {
      workdir = join(root, text)
      mkdirSync(workdir, { recursive: true })
    } else if (name === 'COPY') {
      copy(text, workdir, options)
    } else if (name === 'RUN' && !skipsRun) {
      await runStep(text, workdir, options.programs)
    }
  }
  return root
}

function copy(text: string, workdir: string, { context, folder }: BuildOptions): void {
  const words = text.split(/\s+/)
  const from = /^--from=(\w+)$/.exec(words[0]!)?.[1]
  const names = from === undefined ? words : words.slice(1)
  const target = join(workdir, names.at(-1)!)
  const isFolder = names.at(-1)!.endsWith('/')
  for (const name of names.slice(0, -1)) {
    const source = join(from === undefined ? context : join(folder, from), name)
    // COPY copies the contents of a folder, not the folder itself.
    const isOneFile = statSync(source).isFile()
    cpSync(source, isOneFile && isFolder ? join(target, basename(name)) : target, {
      recursive: true,
      verbatimSymlinks: true,
    })
  }
}

const STEP_TIMEOUT_MS = 240_000

async function runStep(line: string, cwd: string, programs: string): Promise<void> {
  const child = spawn('sh', ['-c', line], {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: STEP_TIMEOUT_MS,
    killSignal: 'SIGKILL',
    env: {
      // A container does not have the variables of this process, such as NODE_OPTIONS and npm's variables.
      ...Object.fromEntries(['HOME', 'TMPDIR', 'XDG_CACHE_HOME'].map((name) => [name, process.env[name]])),
      ...Object.fromEntries(
        Object.entries(process.env).filter(([name]) =>
          /^(?:npm_config_(?:registry|cache|userconfig)|https?_proxy|no_proxy|NODE_EXTRA_CA_CERTS)$/i.test(
            name,
          ),
        ),
      ),
      PATH: `${programs}:${process.env['PATH'] ?? ''}`,
    },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')))
  }
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  if (code !== 0) throw new Error(`RUN ${line} ended with ${signal ?? String(code)}:\n${output}`)
}

/**
 * Copies files that .dockerignore does not exclude. Supports comments, names, `*`, `!name`, and `**` followed by a
 * name.
 */
export function copyContext(root: string, target: string): void {
  const rules = readFileSync(join(root, '.dockerignore'), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
  const isKept = (path: string): boolean => {
    let kept = true
    for (const rule of rules) {
      const name = rule.replace('!', '')
      if (matches(name, path)) kept = rule.startsWith('!')
    }
    return kept
  }
  // An excluded folder is searched if a `!` rule may include a file in that folder.
  const mayHoldKept = (path: string): boolean =>
    isKept(path) || rules.some((rule) => rule.startsWith(`!${path}/`))
  const walk = (path: string): void => {
    for (const entry of readdirSync(join(root, path), { withFileTypes: true })) {
      const child = path === '' ? entry.name : `${path}/${entry.name}`
      if (entry.isDirectory() && mayHoldKept(child)) walk(child)
      if (entry.isFile() && isKept(child)) cpSync(join(root, child), join(target, child))
    }
  }
  walk('')
  if (!existsSync(join(target, 'package.json'))) throw new Error('.dockerignore excludes everything')
}

// A rule also applies to the contents of a folder.
function matches(rule: string, path: string): boolean {
  if (rule === '*') return true
  if (!rule.startsWith('**/')) return path === rule || path.startsWith(`${rule}/`)
  const name = rule.slice(3)
  return path
    .split('/')
    .some((level) => (name.startsWith('*') ? level.endsWith(name.slice(1)) : level === name))
}
