# From a writer's close to the success of a start: medians and quartiles.
set terminal svg size 720,380 font "sans-serif,12" background rgb "white"
set title "a writer lets go: until the program starts, milliseconds (median, quartiles)\n".machine noenhanced
set logscale xy
set xrange [0.7:1500]
set xlabel "held for, ms"
set xtics (1, 10, 100, 1000)
set key below
set grid lc rgb "#dddddd"
of(strategy) = "< sed -n 's/^release-\\([0-9]*\\) ".strategy." /\\1 /p' ".medians
plot of("100ms-doubling") using 1:2:3:4 with yerrorlines lw 1.5 title "100 ms doubling", \
     of("10ms-fixed") using 1:2:3:4 with yerrorlines lw 1.5 title "10 ms fixed", \
     of("1ms-doubling") using 1:2:3:4 with yerrorlines lw 1.5 title "1 ms doubling to 64", \
     of("shim") using 1:2:3:4 with yerrorlines lw 3 lc rgb "#cc3311" title "libetxtbsy", \
     of("inotify") using 1:2:3:4 with yerrorlines lw 1.5 dt 2 title "inotify, ideal"
