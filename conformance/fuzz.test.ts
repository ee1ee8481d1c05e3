// Tests that no untrusted input breaks a target: first with the target's corpus, then with new inputs.
// FUZZ_SECONDS: wall-clock seconds of new inputs for each target, two targets at a time (default 60; 0 runs only the
// corpus).
// FUZZ_SEED: the seed of the run to repeat; each run prints its seed.
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { spawnTied } from './fixtures/processes.ts'
import { readCorpus } from './fuzz/corpus.ts'
import { fuzz, type FuzzProgress } from './fuzz/engine.ts'
import { claim, tokens, type FuzzTarget } from './fuzz/target.ts'
import { loadTarget, TARGETS } from './fuzz/targets/index.ts'
import { tryInput, type Finding } from './fuzz/try-input.ts'

const SECONDS = Number(process.env['FUZZ_SECONDS'] ?? 60)
const SEED = process.env['FUZZ_SEED']
const JOBS = 2
const ROOT = fileURLToPath(new URL('../', import.meta.url))

describe.each(TARGETS)('%s', (name) => {
  test('every input of the corpus is handled, and there are more than four different outcomes', async () => {
    const target = await loadTarget(name)
    const labels = new Set<string>()
    for (const { file, input } of readCorpus(name)) {
      const outcome = await tryInput(target, input)
      if (!('label' in outcome)) expect.fail(`${file}: ${outcome.kind}: ${outcome.text}`)
      labels.add(outcome.label)
    }
    expect(labels.size).toBeGreaterThan(4)
  })
})

// Fuzzes a target that fails if its input contains the planted text.
async function findPlanted(planted: string, run: () => void): Promise<[Finding, Buffer]> {
  const target: FuzzTarget = {
    name: 'planted',
    seedInputs: tokens('{"some":"thing else"}'),
    dictionary: tokens(planted),
    run: (input) => {
      const text = input.toString('latin1')
      if (text.includes(planted)) run()
      return text.slice(0, 1)
    },
  }
  const found: [Finding, Buffer][] = []
  const isOver = ({ runs }: FuzzProgress): boolean => found.length > 0 || runs > 1_000_000
  await fuzz(target, { seed: 1, inputs: [], isOver, onFinding: (...each) => found.push(each) })
  return found[0]!
}

describe('the fuzzer', () => {
  test(
    'detects a false claim, an exception, a hang and a changed prototype, each with an input of a few bytes',
    { timeout: 300_000 },
    async () => {
      const [wrong, input] = await findPlanted('7e', () => claim(false, 'a promise'))
      expect(wrong).toMatchObject({ kind: 'wrong', text: expect.stringContaining('a promise') })
      expect(input.toString()).toBe('7e')
      const [exception] = await findPlanted('null', () => JSON.parse('{'))
      expect(exception).toMatchObject({ kind: 'exception', text: expect.stringContaining('SyntaxError') })
      const [hang] = await findPlanted('((', () => {
        // Measures CPU time, because elapsed time means little on a busy machine.
        const before = process.cpuUsage()
        while (process.cpuUsage(before).user < 130_000);
      })
      expect(hang.kind).toBe('hang')
      const [pollution] = await findPlanted('proto', () => {
        Object.assign(Object.prototype, { planted: true })
      })
      expect(pollution).toMatchObject({ kind: 'pollution', text: expect.stringContaining('planted') })
      expect('planted' in {}).toBe(false)
    },
  )

  test('repeats a run with the same seed', async () => {
    const target = await loadTarget('json')
    const inputs = async (): Promise<string[]> => {
      const seen: string[] = []
      const isOver = (): boolean => seen.length > 500
      const beforeRun = (input: Buffer): void => void seen.push(input.toString('latin1'))
      await fuzz(target, { seed: 7, inputs: [], isOver, beforeRun, onFinding: () => {} })
      return seen.slice(0, 500)
    }
    expect(await inputs()).toEqual(await inputs())
  })
})

// This test takes a long time, so it prints each line immediately to show its progress.
test(
  `${SECONDS} s of new inputs for each target find no failure`,
  { timeout: Math.ceil(TARGETS.length / JOBS) * (SECONDS + 45) * 1000 + 60_000 },
  async () => {
    const runner = ['--conditions=source', '--import', './scripts/typescript.mjs', 'conformance/fuzz/main.ts']
    const options = ['--seconds', `${SECONDS}`, '--jobs', `${JOBS}`]
    if (SEED !== undefined) options.push('--seed', SEED)
    const child = spawnTied(process.execPath, [...runner, ...options], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    child.stdout!.on('data', (chunk: Buffer) => {
      output += chunk.toString()
      process.stderr.write(chunk)
    })
    const [code] = (await once(child, 'close')) as [number | null]
    expect(output).toMatch(/\d+ runs, 0 findings \(seed \d+\)\n$/)
    expect(code).toBe(0)
    for (const name of TARGETS) expect(output).toContain(`done ${name}: `)
  },
)
