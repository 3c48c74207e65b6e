public import ArgumentParser
public import Kernels
public import Layout
public import RunForecast
public import Studies

extension Fidelity: ExpressibleByArgument {}
extension LayoutSearch.Objective: ExpressibleByArgument {}
extension NumberFormat: ExpressibleByArgument {}
extension Optimizer: ExpressibleByArgument {}
extension Precision: ExpressibleByArgument {}
