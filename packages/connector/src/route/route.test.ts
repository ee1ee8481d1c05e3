import { Problem, TopicSpace } from '@inferwire/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { BoundOperation, Delivery, ExposedModel, Routing } from '../step.ts'
import { findOperation, ModelTable } from './model-table.ts'
import { derivedTarget, requestedTarget } from './reply-target.ts'
import { StandardRouter, type StandardRouterParts } from './standard-router.ts'

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
  test('finds an exposed model until it is removed', () => {
    const table = new ModelTable()
    const iris = modelOf('iris', 'infer')
    table.set(iris)
    expect(table.find('iris')).toBe(iris)
    table.delete('iris')
    expect(failure(() => table.find('iris'))).toMatchObject({ code: 'model_not_found', status: 404 })
  })

  test('gives the reason while a model is not ready', () => {
    const table = new ModelTable()
    table.setPending('iris', 'Model "iris" is not ready.')
    expect(failure(() => table.find('iris'))).toMatchObject({ code: 'model_not_ready', retryable: true })
    table.set(modelOf('iris', 'infer'))
    expect(table.find('iris').name).toBe('iris')
    table.setPending('iris', 'Model "iris" is not ready.')
    expect(failure(() => table.find('iris')).message).toBe('Model "iris" is not ready.')
  })

  test('checks the server of a pending model only when wanted() is called, not on each lookup', () => {
    const table = new ModelTable()
    let wanted = 0
    table.setPending('iris', 'Model "iris" is not ready.', () => (wanted += 1))
    failure(() => table.find('iris'))
    expect(wanted).toBe(0)
    table.wanted('iris')
    table.wanted('rose')
    table.set(modelOf('iris', 'infer'))
    table.wanted('iris')
    expect(wanted).toBe(1)
  })

  test('reports the same problem for a forbidden model as for an unknown model, and gives the reason only to the log', () => {
    const table = new ModelTable()
    for (const name of ['iris', 'secret']) table.set(modelOf(name, 'infer'))
    table.setPending('secret-late', 'Model "secret-late" is not ready.')
    const problem = (name: string): Problem =>
      failure(() => table.find(name, (shown) => !shown.startsWith('secret')))
    for (const name of ['secret', 'secret-late', 'secreu']) {
      expect(problem(name)).toMatchObject({
        code: 'model_not_found',
        message: `Model "${name}" is not exposed here; this connector exposes iris.`,
      })
    }
    expect(problem('secret').detail).toContain('policy.allow')
    expect(problem('secreu').detail).toBeUndefined()
  })

  test('does not claim that no model is exposed if all models are hidden from the client', () => {
    const table = new ModelTable()
    table.set(modelOf('defects', 'infer'))
    for (const name of ['defects', 'defect']) {
      const problem = failure(() => table.find(name, () => false))
      expect(problem.message).toBe(`Model "${name}" is not exposed here.`)
    }
  })

  test('suggests the nearest name, or lists some names, or reports that no model is exposed', () => {
    const table = new ModelTable()
    const message = (name: string): string => failure(() => table.find(name)).message
    expect(message('iris')).toContain('no model is exposed yet')
    for (let index = 10; index < 22; index++) table.set(modelOf(`model-${index}`, 'infer'))
    expect(message('modle-10')).toContain('did you mean "model-10"?')
    expect(message('x')).toMatch(/this connector exposes (model-\d\d, ){10}and 2 more\.$/)
  })

  test('returns a model of the table or a Problem with printable text, for any name on the topic', () => {
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

test('finds the named or the default operation, and lists the offered operations for an unknown name', () => {
  const model = modelOf('iris', 'infer', 'metadata')
  expect(findOperation(model, undefined).name).toBe('infer')
  expect(findOperation(model, 'metadata').name).toBe('metadata')
  for (const name of ['constructor', '__proto__', 'INFER', 'predict']) {
    const what = name === 'predict' ? 'predict' : 'that operation'
    expect(failure(() => findOperation(model, name))).toMatchObject({
      code: 'operation_not_supported',
      message: `Model "iris" does not offer ${what}; it offers: infer, metadata.`,
    })
  }
})

const isShown = (name: string): boolean => name === 'metadata' || name === 'generate'

test('reports the same problem for a hidden operation as for one that the model does not offer', () => {
  const model = { ...modelOf('iris', 'infer', 'explain', 'metadata'), openOperations: ['chat', 'generate'] }
  const problem = (name: string | undefined, shown: (name: string) => boolean): Problem =>
    failure(() => findOperation(model, name, shown))
  for (const name of ['explain', 'predict', 'chat']) {
    expect(problem(name, isShown)).toMatchObject({
      code: 'operation_not_supported',
      message: `Model "iris" does not offer ${name}; it offers: metadata.`,
    })
  }
  expect(problem('explain', isShown).detail).toContain('policy.allow')
  expect(problem('predict', isShown).detail).toBeUndefined()
  expect(problem('generate', isShown).code).toBe('model_not_ready')
  expect(findOperation(model, 'metadata', isShown).name).toBe('metadata')
  // The default operation is hidden as well.
  expect(problem(undefined, isShown).message).toBe('Model "iris" does not offer infer; it offers: metadata.')
  expect(problem(undefined, () => false).message).toBe('Model "iris" does not offer infer.')
})

describe('the reply target', () => {
  const topics = new TopicSpace('infer')
  const correlationData = Uint8Array.from([7])
  const delivery = (responseTopic?: string) => ({
    topic: 'infer/request/cam7/iris/infer/1',
    qos: 1 as const,
    properties: { correlationData, ...(responseTopic === undefined ? {} : { responseTopic }) },
  })
  const derived = derivedTarget(topics, delivery())!

  test('is the derived topic, with the Correlation Data', () => {
    expect(derived).toEqual({ topic: 'infer/reply/cam7/iris/infer/1', correlationData, qos: 1 })
    expect(requestedTarget(topics, 'cam7', delivery(), derived)).toBe(derived)
    expect(derivedTarget(topics, { ...delivery(), qos: 0 })!.qos).toBe(0)
    expect(derivedTarget(topics, { ...delivery(), topic: 'infer/request//iris' })).toBeUndefined()
  })

  test("may be a Response Topic in the client's own subtree", () => {
    expect(requestedTarget(topics, 'cam7', delivery('infer/reply/cam7/x'), derived)).toEqual({
      topic: 'infer/reply/cam7/x',
      correlationData,
      qos: 1,
    })
  })

  test.each(['', 'infer/reply/cam8/x', 'infer/request/cam7/iris', 'infer/reply/cam7/#', '$SYS/x'])(
    'is never "%s"',
    (responseTopic) => {
      const problem = failure(() => requestedTarget(topics, 'cam7', delivery(responseTopic), derived))
      expect(problem.code).toBe('response_topic_forbidden')
      expect(problem.message).toContain('"infer/reply/cam7/"')
    },
  )
})

const problemOf = (routing: Routing): Problem | undefined =>
  'problem' in routing ? routing.problem : undefined

describe('the standard topics', () => {
  const topics = new TopicSpace('infer')
  const absent = new Problem(
    'model_not_ready',
    'Model "x" is not ready: the connector that exposes it is offline.',
    {
      detail: 'Connector "hq-secret-line" is offline.',
    },
  )
  let wanted: string[]

  function arrange(parts: Partial<StandardRouterParts> = {}): StandardRouter {
    const models = new ModelTable()
    models.set(modelOf('iris', 'infer'))
    wanted = []
    for (const name of ['late', 'secret-late'])
      models.setPending(name, `Model "${name}" is not ready.`, () => wanted.push(name))
    return new StandardRouter({
      topics,
      models,
      policy: { shows: (client, model) => client === 'admin' || !model.startsWith('secret') },
      peers: { answering: (model) => (model.endsWith('-away') ? { absent } : undefined) },
      ...parts,
    })
  }

  function routed(router: StandardRouter, client: string, model: string, responseTopic?: string): Routing {
    const topic = topics.request(client, model, 'infer')
    const properties = responseTopic === undefined ? {} : { responseTopic }
    const routing = router.route({ topic, qos: 1, properties } as unknown as Delivery)
    if (routing === undefined) throw new Error('It was not routed.')
    return routing
  }

  function logged(client: string, model: string): unknown {
    const routing = routed(arrange(), client, model)
    return 'problem' in routing ? [routing.client, routing.model, routing.problem.code] : routing
  }

  test("report to a client without access the same problem for an absent peer's model as for an unknown model", () => {
    const router = arrange()
    const hidden = problemOf(routed(router, 'cam7', 'secret-away'))!
    const unknown = problemOf(routed(router, 'cam7', 'secret-other'))!
    expect(hidden.code).toBe('model_not_found')
    expect(hidden.message).toBe(unknown.message.replace('secret-other', 'secret-away'))
    expect(problemOf(routed(router, 'admin', 'secret-away'))).toBe(absent)
    expect(problemOf(routed(router, 'cam7', 'rose-away'))).toBe(absent)
  })

  test("log the client's name, and the model's name if the model is configured", () => {
    expect(logged('cam7', 'secret-late')).toEqual(['cam7', 'secret-late', 'model_not_found'])
    expect(logged('cam7', 'late')).toEqual(['cam7', 'late', 'model_not_ready'])
    expect(logged('cam7', 'rose')).toEqual(['cam7', '_unknown', 'model_not_found'])
  })

  test("answer requests for an absent peer's model on the Response Topic", () => {
    const routing = routed(arrange(), 'cam7', 'rose-away', 'infer/reply/cam7/mine')
    expect(routing).toMatchObject({ target: { topic: 'infer/reply/cam7/mine' } })
  })

  test('leave a hidden model of an online peer to that peer, whose policy decides', () => {
    const router = arrange({ peers: { answering: () => ({ peer: 'b' }) } })
    expect(routed(router, 'cam7', 'secret')).toEqual({ peer: 'b' })
  })

  test('wait with the answer for a hidden model as long as with the answer for an unknown model', () => {
    const undecided = { until: Promise.resolve() }
    const waiting = arrange({ peers: { answering: () => undecided } })
    expect(routed(waiting, 'cam7', 'secret-late')).toBe(undecided)
    expect(routed(waiting, 'cam7', 'rose')).toBe(undecided)
    expect(problemOf(routed(waiting, 'admin', 'secret-late'))).toMatchObject({ code: 'model_not_ready' })
    // A peer that exposes the same model may hide it as well, so it is not left to the peer.
    const doubled = arrange({ peers: { answering: () => ({ peer: 'b' }) } })
    expect(problemOf(routed(doubled, 'cam7', 'secret-late'))).toMatchObject({ code: 'model_not_found' })
  })

  test('hide the operations that a client may not use', () => {
    const policy = { shows: (_: string, __: string, operation?: string) => operation !== 'infer' }
    expect(problemOf(routed(arrange({ policy }), 'cam7', 'iris'))).toMatchObject({
      code: 'operation_not_supported',
      message: 'Model "iris" does not offer infer.',
    })
  })

  test('check the server of a pending model only for clients that may know it', () => {
    const router = arrange()
    for (const model of ['late', 'secret-late', 'iris', 'rose', 'rose-away']) routed(router, 'cam7', model)
    expect(wanted).toEqual(['late'])
    routed(router, 'admin', 'secret-late')
    expect(wanted).toEqual(['late', 'secret-late'])
  })
})
