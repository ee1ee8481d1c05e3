import { Problem, TopicSpace } from '@inferwire/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { BoundOperation, ExposedModel } from '../step.ts'
import { findOperation, ModelTable } from './model-table.ts'
import { derivedTarget, requestedTarget } from './reply-target.ts'

const operation = (name: string): BoundOperation => ({ name }) as BoundOperation

function modelOf(name: string, ...names: string[]): ExposedModel {
  const operations = new Map(names.map((each) => [each, operation(each)]))
  return { name, operations, defaultOperation: operations.get(names[0]!)! } as unknown as ExposedModel
}

function failure(call: () => unknown): Problem {
  try {
    call()
  } catch (error) {
    expect(error).toBeInstanceOf(Problem)
    return error as Problem
  }
  throw new Error('It did not fail.')
}

describe('the model table', () => {
  test('finds what is exposed, and nothing after it was taken away', () => {
    const table = new ModelTable()
    const iris = modelOf('iris', 'infer')
    table.set(iris)
    expect(table.find('iris')).toBe(iris)
    table.delete('iris')
    expect(failure(() => table.find('iris'))).toMatchObject({ code: 'model_not_found', status: 404 })
  })

  test('a model that cannot be asked yet says why, until it can', () => {
    const table = new ModelTable()
    table.setPending('iris', 'Model "iris" is not ready.')
    expect(failure(() => table.find('iris'))).toMatchObject({ code: 'model_not_ready', retryable: true })
    table.set(modelOf('iris', 'infer'))
    expect(table.find('iris').name).toBe('iris')
    table.setPending('iris', 'Model "iris" is not ready.')
    expect(failure(() => table.find('iris')).message).toBe('Model "iris" is not ready.')
  })

  test('each request for a model that cannot be asked yet is reported', () => {
    const table = new ModelTable()
    let wanted = 0
    table.setPending('iris', 'Model "iris" is not ready.', () => (wanted += 1))
    for (let count = 0; count < 3; count += 1) failure(() => table.find('iris'))
    table.set(modelOf('iris', 'infer'))
    table.find('iris')
    expect(wanted).toBe(3)
  })

  test('what a client may not know of is answered like what does not exist, with the reason for the log', () => {
    const table = new ModelTable()
    for (const name of ['iris', 'secret']) table.set(modelOf(name, 'infer'))
    table.setPending('secret-late', 'Model "secret-late" is not ready.', () => {
      throw new Error('Nobody who may not know of it can wake it.')
    })
    const problem = (name: string): Problem =>
      failure(() => table.find(name, (shown) => !shown.startsWith('secret')))
    for (const name of ['secret', 'secret-late', 'secreu']) {
      expect(problem(name)).toMatchObject({
        code: 'model_not_found',
        message: `Model "${name}" is not exposed here; the 1 exposed models are: iris.`,
      })
    }
    expect(problem('secret').detail).toContain('policy.allow')
    expect(problem('secreu').detail).toBeUndefined()
  })

  test('suggests the near name, or lists some, or says that there is none', () => {
    const table = new ModelTable()
    const message = (name: string): string => failure(() => table.find(name)).message
    expect(message('iris')).toContain('no model is exposed yet')
    for (let index = 10; index < 22; index++) table.set(modelOf(`model-${index}`, 'infer'))
    expect(message('modle-10')).toContain('did you mean "model-10"?')
    expect(message('x')).toMatch(/the 12 exposed models are: (model-\d\d, ){10}…\.$/)
  })

  test('whatever stands on the topic: a model of the table, or a Problem that does not repeat it unchecked', () => {
    const table = new ModelTable()
    table.set(modelOf('iris', 'infer'))
    fc.assert(
      fc.property(
        fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('__proto__', 'constructor')),
        (name) => {
          if (name === 'iris') return
          const { code, message } = failure(() => table.find(name))
          expect(['bad_topic', 'model_not_found']).toContain(code)
          expect(message).toMatch(/^[\x20-\x7e]+$/)
        },
      ),
    )
  })
})

test('an operation is the one that is named, the default, or refused with a list', () => {
  const model = modelOf('iris', 'infer', 'metadata')
  expect(findOperation(model, undefined).name).toBe('infer')
  expect(findOperation(model, 'metadata').name).toBe('metadata')
  for (const name of ['constructor', '__proto__', 'INFER', 'predict']) {
    expect(failure(() => findOperation(model, name))).toMatchObject({
      code: 'operation_not_supported',
      message: 'Model "iris" does not offer that operation; it offers: infer, metadata.',
    })
  }
})

describe('where the answer goes', () => {
  const topics = new TopicSpace('infer')
  const correlationData = Uint8Array.from([7])
  const delivery = (responseTopic?: string) => ({
    topic: 'infer/request/cam7/iris/infer/1',
    qos: 1 as const,
    properties: { correlationData, ...(responseTopic === undefined ? {} : { responseTopic }) },
  })
  const derived = derivedTarget(topics, delivery())!

  test('to the derived topic, with the Correlation Data', () => {
    expect(derived).toEqual({ topic: 'infer/reply/cam7/iris/infer/1', correlationData, qos: 1 })
    expect(requestedTarget(topics, 'cam7', delivery(), derived)).toBe(derived)
    expect(derivedTarget(topics, { ...delivery(), qos: 0 })!.qos).toBe(0)
    expect(derivedTarget(topics, { ...delivery(), topic: 'infer/request//iris' })).toBeUndefined()
  })

  test("to a Response Topic in the client's own subtree", () => {
    expect(requestedTarget(topics, 'cam7', delivery('infer/reply/cam7/x'), derived)).toEqual({
      topic: 'infer/reply/cam7/x',
      correlationData,
      qos: 1,
    })
  })

  test.each(['', 'infer/reply/cam8/x', 'infer/request/cam7/iris', 'infer/reply/cam7/#', '$SYS/x'])(
    'never to "%s"',
    (responseTopic) => {
      const problem = failure(() => requestedTarget(topics, 'cam7', delivery(responseTopic), derived))
      expect(problem.code).toBe('response_topic_forbidden')
      expect(problem.message).toContain('"infer/reply/cam7/"')
    },
  )
})
