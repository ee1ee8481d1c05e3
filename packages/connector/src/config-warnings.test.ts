import { expect, test } from 'vitest'
import { configWarnings } from './config-warnings.ts'
import { loadConfig, type ConfigInput } from './config/index.ts'

const MODELS = { defects: { url: 'http://h', versions: ['2'] }, iris: { url: 'http://h' } }
const warnings = (policy?: ConfigInput['policy'], models: ConfigInput['models'] = MODELS): string[] =>
  configWarnings(loadConfig({ env: {}, flags: { models, ...(policy === undefined ? {} : { policy }) } })).map(
    ({ path, message }) => `${path}: ${message}`,
  )
const models = (...patterns: string[]): string[] =>
  warnings({
    allow: [
      { clients: ['*'], models: ['iris'] },
      { clients: ['*'], models: patterns },
    ],
  })

test('warns about a name in the policy that matches no model, and suggests the nearest name', () => {
  expect(models('defects', 'defect')).toEqual([
    'policy.allow[1].models[1]: "defect" matches no model; did you mean "defects"?',
  ])
  expect(models('wine-*')).toEqual([
    'policy.allow[1].models[0]: "wine-*" matches no model; the models are: defects, defects@2, iris',
  ])
})

test('does not warn about names and patterns that match a model or one of its versions', () => {
  expect(models('*', 'iris', 'def*', 'defects@2', '*@2')).toEqual([])
  expect(warnings()).toEqual([])
})

test('a warning lists at most ten models, and states how many others there are', () => {
  const many = Object.fromEntries(
    Array.from({ length: 12 }, (_, index) => [`m${index}`, { url: 'http://h' }]),
  )
  expect(warnings({ allow: [{ clients: ['*'], models: ['wine'] }] }, many)[0]).toMatch(/m9, and 2 more$/)
})

test('warns about a policy that allows nothing', () => {
  expect(warnings({ allow: [] })).toEqual(['policy.allow: is empty: no client may use any model'])
})

test('does not warn about names in the policy if no model is configured', () => {
  expect(warnings({ allow: [{ clients: ['*'], models: ['iris'] }] }, {})).toEqual([])
})

test('does not warn about names in the policy if the cluster may have the model', () => {
  const config = loadConfig({
    env: {},
    flags: {
      models: MODELS,
      policy: { allow: [{ clients: ['*'], models: ['rose'] }] },
      discovery: { enabled: true, namespaces: ['models'] },
    },
  })
  expect(configWarnings(config)).toEqual([])
})
