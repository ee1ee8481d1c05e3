import { loadConfig, type ConfigInput } from '@inferwire/connector'
import { expect, test } from 'vitest'
import type { DoctorContext } from '../context.ts'
import { configurationWarnings } from './warnings.ts'

const BROKER = { url: 'mqtt://127.0.0.1' }

test.each<[string, ConfigInput, string]>([
  ['neither models nor discovery', { broker: BROKER }, 'No models are configured'],
  ['discovery', { broker: BROKER, discovery: { enabled: true, namespaces: ['models'] } }, ''],
  ['a model', { broker: BROKER, models: { iris: { url: 'http://iris' } } }, ''],
])('a configuration with %s', async (_name, flags, message) => {
  const context = { config: { value: loadConfig({ env: {}, flags }) } } as DoctorContext
  const outcome = await configurationWarnings.run(context, new AbortController().signal)
  const messages = [outcome].flat().map((finding) => finding.message)
  expect(messages.join(' ').includes('No models are configured')).toBe(message !== '')
})
