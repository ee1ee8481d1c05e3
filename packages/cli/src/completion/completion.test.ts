import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { createProgram } from '../program.ts'
import { bashScript } from './bash-script.ts'
import { completedCommands } from './command-tree.ts'
import { fishScript } from './fish-script.ts'
import { zshScript } from './zsh-script.ts'

const commands = completedCommands(createProgram())
const bash = bashScript(commands)

// Returns the completions that bash offers for the last of these words.
function complete(...words: string[]): string[] {
  const line = ['inferwire', ...words].map((word) => `'${word}'`).join(' ')
  const script = `${bash}\nCOMP_WORDS=(${line}); COMP_CWORD=${words.length}; _inferwire; printf '%s\\n' "\${COMPREPLY[@]}"`
  return execFileSync('bash', ['-c', script]).toString().split('\n').filter(Boolean)
}

test('bash offers the commands', () => {
  expect(complete('con')).toEqual(['connect', 'config'])
})

test("bash offers a command's subcommands", () => {
  expect(complete('models', '')).toEqual(expect.arrayContaining(['ls', 'describe']))
  expect(complete('config', 'pr')).toEqual(['print'])
})

test('bash offers only the options of the current command', () => {
  expect(complete('infer', 'iris', '--sh')).toEqual(['--show'])
  expect(complete('connect', '--sh')).toEqual(['--share'])
})

test('bash offers the values of an option or argument that accepts only listed values', () => {
  expect(complete('infer', 'iris', '--show', '')).toEqual(['mosquitto', 'curl'])
  expect(complete('completion', 'f')).toEqual(['fish'])
  expect(complete('policy', 'test', 'cam7', 'iris', 'emb')).toEqual(['embeddings'])
})

test('bash offers nothing after an option that takes any value', () => {
  expect(complete('infer', 'iris', '-p', '')).toEqual([])
})

test('all three scripts contain every command and every long option', () => {
  const names = commands.flatMap(({ subcommands, options }) => [
    ...subcommands.map(({ name }) => name),
    ...options.flatMap((option) => option.names).filter((name) => name.startsWith('--')),
  ])
  expect(names.length).toBeGreaterThan(40)
  const scripts = { bash, zsh: zshScript(commands), fish: fishScript(commands).replaceAll('-l ', '--') }
  for (const [shell, script] of Object.entries(scripts)) {
    for (const name of names) expect(script, `${shell} ${name}`).toContain(name)
  }
})
