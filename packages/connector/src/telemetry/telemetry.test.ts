import { expect, test } from 'vitest'
import { Telemetry } from './telemetry.ts'

test('drops the figures of a removed model, and keeps the figures of its versions and of models with similar names', () => {
  const telemetry = new Telemetry()
  for (const model of ['iris', 'iris@2', 'iris.models']) {
    telemetry.figures(model, 'infer').count('ok')
    telemetry.figures(model, 'ready')
    telemetry.upstream(model)
  }
  telemetry.forget('iris')
  expect([...telemetry.all].map(({ model }) => model)).toEqual([
    'iris@2',
    'iris@2',
    'iris.models',
    'iris.models',
  ])
  expect([...telemetry.upstreams].map(({ model }) => model)).toEqual(['iris@2', 'iris.models'])
})

test('a request that outlives its model does not change the figures of a new model with the same name', () => {
  const telemetry = new Telemetry()
  const held = telemetry.figures('iris', 'infer')
  telemetry.forget('iris')
  held.count('ok')
  expect([...telemetry.all]).toEqual([])
  expect(telemetry.figures('iris', 'infer').outcomes.size).toBe(0)
})
