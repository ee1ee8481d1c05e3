import { expect, test } from 'vitest'
import { commandWords } from './command-words.ts'
import { createProgram } from './program.ts'

test.each([
  ['help', '--help'],
  ['help infer', 'infer --help'],
  ['help config check', 'config check --help'],
  ['config help check', 'config check --help'],
  ['help models list', 'models list --help'],
])('"%s" is read as "%s"', (line, expected) => {
  expect(commandWords(createProgram(), line.split(' '))).toEqual(expected.split(' '))
})

test.each([
  ['docter --help', 'docter'],
  ['help nope', 'nope'],
  ['config nope -h', 'config nope'],
  ['help config nope', 'config nope'],
])('"%s" is reported as the unknown command "%s"', (line, expected) => {
  expect(commandWords(createProgram(), line.split(' '))).toEqual(expected.split(' '))
})

test.each(['--version', '--help', 'infer help --help', 'config', 'passwd -c file help'])(
  'leaves "%s" unchanged',
  (line) => {
    expect(commandWords(createProgram(), line.split(' '))).toEqual(line.split(' '))
  },
)

test('the help lists the subcommands', () => {
  const help = createProgram().helpInformation()
  expect(help).toMatch(/^ {2}models ls\|describe +list and describe models$/m)
  expect(help).toMatch(/^ {2}config check\|print\|schema +check or print/m)
  expect(help).toMatch(/^ {2}topics explain +/m)
  expect(help).toMatch(/^ {2}dev \[options\] +/m)
})
